// A task program's TCP client as a Go programmer would write it: encoding/json and a 4-byte length, nothing else.
// Body is []byte, which encoding/json marshals to base64 text.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
)

type pack struct {
	MessageID int
	Header    map[string]string
	Body      []byte
}

type task struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status,omitempty"`
	ErrID  int    `json:"errid"`
	ErrMsg string `json:"errmsg"`
}

func ask(conn net.Conn, request string, body task) (answer task, err error) {
	inner, _ := json.Marshal(body)
	raw, _ := json.Marshal(pack{2, map[string]string{"RequestID": request}, inner})
	if err = binary.Write(conn, binary.BigEndian, uint32(len(raw))); err != nil {
		return
	}
	if _, err = conn.Write(raw); err != nil {
		return
	}
	var size uint32
	if err = binary.Read(conn, binary.BigEndian, &size); err != nil {
		return
	}
	raw = make([]byte, size)
	if _, err = io.ReadFull(conn, raw); err != nil {
		return
	}
	var p pack
	if err = json.Unmarshal(raw, &p); err != nil {
		return
	}
	err = json.Unmarshal(p.Body, &answer)
	return
}

func main() {
	conn, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	for _, step := range []struct {
		request string
		body    task
	}{
		{"Register", task{ID: "go-1", Name: "from Go", Status: "waiting"}},
		{"Update", task{ID: "go-1", Status: "running"}},
		{"Find", task{ID: "go-1"}},
		{"Find", task{ID: "go-2"}},
	} {
		answer, err := ask(conn, step.request, step.body)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s %s %d %s\n", step.request, answer.ID, answer.Status, answer.ErrID, answer.ErrMsg)
	}
}
