"""Several instances on one store: who they are, what each has to itself, whose a voucher or a request under way is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
_WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table("instances", _name("id"), _number("seen_at"), _text("report", "{}"), sa.PrimaryKeyConstraint("id"))
    op.create_table("leases", _name("name"), _text("holder"), _number("until"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "tries",
        _name("key"),
        _number("tries"),
        _number("since"),
        _number("last_at"),
        _number("next_turn"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("tries_last_at", "tries", ["last_at"])
    op.add_column("vouched", _text("instance"))
    op.add_column("idempotency", _text("instance"))


def _name(name: str) -> sa.Column[str]:
    return sa.Column(name, _WORDS, nullable=False)


def _text(name: str, empty: str = "") -> sa.Column[str]:
    return sa.Column(name, _WORDS, server_default=empty, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
