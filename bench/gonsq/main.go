// Finishes every beat that one nsqd gives it and stores nothing: what TaskDash's consumer is measured beside (DESIGN 8).
//
//	gonsq-consumer NSQD CHANNEL
package main

import (
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nsqio/go-nsq"
)

type heartbeat struct {
	ID       string `json:"id"`
	Reserved string `json:"reserved"`
}

func main() {
	config := nsq.NewConfig()
	config.MaxInFlight = 2500
	consumer, err := nsq.NewConsumer("taskdash.heartbeats", os.Args[2], config)
	must(err)
	consumer.SetLogger(log.New(os.Stderr, "", 0), nsq.LogLevelError)
	consumer.AddConcurrentHandlers(nsq.HandlerFunc(func(message *nsq.Message) error {
		var beat heartbeat
		return json.Unmarshal(message.Body, &beat)
	}), 4)
	must(consumer.ConnectToNSQD(os.Args[1]))
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
