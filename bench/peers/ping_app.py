"""The smallest honest ping path in the way of healthchecks: Django, checks and pings in PostgreSQL, one transaction a ping.

`python ping_app.py DSN CHECKS` makes the tables and the checks; gunicorn serves `ping_app:application` with PING_DSN set.
No middleware, no sessions, connections to the database are kept: nothing of Django's that a ping does not need.
"""

import os
import sys
import uuid
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import path
from django.utils import timezone

DSN = urlsplit(os.environ.get("PING_DSN") or sys.argv[1])
settings.configure(
    SECRET_KEY="bench",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": DSN.hostname,
            "PORT": DSN.port,
            "USER": DSN.username,
            "NAME": DSN.path[1:],
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()


class Check(models.Model):
    """What pings."""

    code = models.UUIDField(unique=True)
    status = models.CharField(max_length=6, default="up")
    n_pings = models.IntegerField(default=0)
    last_ping = models.DateTimeField(null=True)

    class Meta:
        app_label = "bench"


class Ping(models.Model):
    """One ping: history."""

    owner = models.ForeignKey(Check, models.CASCADE)
    created = models.DateTimeField()
    method = models.CharField(max_length=10)
    remote_addr = models.GenericIPAddressField(null=True)

    class Meta:
        app_label = "bench"


def ping(request: HttpRequest, code: uuid.UUID) -> HttpResponse:
    """GET /ping/<uuid>: the check has pinged now, durably."""
    now = timezone.now()
    with transaction.atomic():
        check = Check.objects.filter(code=code).values_list("id", flat=True).first()
        if check is None:
            return HttpResponseNotFound("not found")
        Check.objects.filter(id=check).update(last_ping=now, n_pings=F("n_pings") + 1, status="up")
        Ping.objects.create(owner_id=check, created=now, method=request.method, remote_addr=request.META["REMOTE_ADDR"])
    return HttpResponse("OK", headers={"Content-Length": "2"})


urlpatterns = [path("ping/<uuid:code>", ping)]
application = get_wsgi_application()


def made(count: int) -> None:
    """The tables, and checks with the codes 0, 1, 2 …"""
    with connection.schema_editor() as editor:
        editor.create_model(Check)
        editor.create_model(Ping)
    Check.objects.bulk_create(Check(code=uuid.UUID(int=n)) for n in range(count))


if __name__ == "__main__":
    made(int(sys.argv[2]))
