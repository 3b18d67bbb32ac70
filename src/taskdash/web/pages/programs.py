"""Whole small task services to copy, by the way they reach TaskDash; `@NAMES@` are filled in by `snippets`.

Each registers, beats and serves its tasks; each works with nothing installed but its language (Python: with TaskDash).
"""

_PYTHON_NSQ = """\
from taskdash.client.api import OverNsqHttp
from taskdash.client.service import TaskService

with TaskService(OverNsqHttp("@NSQ@"@TOPICS@), "first-1", "My first service") as service:
    service.put({"id": "133", "name": "nightly", "status": "running"})
    input("Press Enter to end it: ")
"""

_PYTHON_HTTP = """\
import os

from taskdash.client.api import OverHttp
from taskdash.client.service import TaskService

with TaskService(OverHttp("@ORIGIN@", os.environ["TASKDASH_TOKEN"]), "first-1", "My first service") as service:
    service.put({"id": "133", "name": "nightly", "status": "running"})
    input("Press Enter to end it: ")
"""

_GO_MAIN = """\
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/tasks", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `[{"id":"133","name":"nightly","status":"running"}]`)
	})
	go http.Serve(listener, nil)
	register := fmt.Sprintf(`{"id":"first-1","name":"My first service","url":"http://%s/tasks"}`, listener.Addr())
"""

_GO_NSQ = (
    """\
package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

func tell(topic, body string) {
	answer, err := http.Post("@PUB@"+topic, "application/json", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
}

"""
    + _GO_MAIN
    + """\
	tell("@SERVICES@", register)
	for {
		tell("@BEATS@", `{"id":"first-1"}`)
		time.Sleep(10 * time.Second)
	}
}
"""
)

_GO_HTTP = (
    """\
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func tell(method, path, body string) {
	request, _ := http.NewRequest(method, "@ORIGIN@/api/v1/services"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("TASKDASH_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
}

"""
    + _GO_MAIN
    + """\
	tell("POST", "", register)
	for {
		tell("PUT", "/first-1/heartbeat", "{}")
		time.Sleep(10 * time.Second)
	}
}
"""
)

_NODE_SERVER = """\
const server = createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify([{ id: "133", name: "nightly", status: "running" }]));
});
server.listen(0, "127.0.0.1", async () => {
  const url = `http://127.0.0.1:${server.address().port}/tasks`;
"""

_NODE_NSQ = (
    """\
import { createServer } from "node:http";

const tell = (topic, message) =>
  fetch(`@PUB@${topic}`, { method: "POST", body: JSON.stringify(message) }).catch(console.error);

"""
    + _NODE_SERVER
    + """\
  await tell("@SERVICES@", { id: "first-1", name: "My first service", url });
  await tell("@BEATS@", { id: "first-1" });
  setInterval(() => tell("@BEATS@", { id: "first-1" }), 10_000);
});
"""
)

_NODE_HTTP = (
    """\
import { createServer } from "node:http";

const headers = { Authorization: `Bearer ${process.env.TASKDASH_TOKEN}`, "Content-Type": "application/json" };
const tell = (method, path, message) =>
  fetch(`@ORIGIN@/api/v1/services${path}`, { method, headers, body: JSON.stringify(message) }).catch(console.error);

"""
    + _NODE_SERVER
    + """\
  await tell("POST", "", { id: "first-1", name: "My first service", url });
  await tell("PUT", "/first-1/heartbeat", {});
  setInterval(() => tell("PUT", "/first-1/heartbeat", {}), 10_000);
});
"""
)

programs_by_nsq = {"Python": _PYTHON_NSQ, "Go": _GO_NSQ, "Node": _NODE_NSQ}
programs_by_http = {"Python": _PYTHON_HTTP, "Go": _GO_HTTP, "Node": _NODE_HTTP}
