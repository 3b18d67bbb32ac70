// Registers a service and beats through go-nsq, unchanged: synchronous, pipelined, many at once.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/nsqio/go-nsq"
)

const services, heartbeats = "taskdash.services", "taskdash.heartbeats"

func main() {
	address, id := os.Args[1], os.Args[2]
	config := nsq.NewConfig()
	for _, option := range os.Args[3:] { // as go-nsq's own options: auth_secret=..., tls_v1=true, tls_root_ca_file=...
		name, value, _ := strings.Cut(option, "=")
		must(config.Set(name, value))
	}
	producer, err := nsq.NewProducer(address, config)
	must(err)
	producer.SetLogger(log.New(os.Stderr, "", 0), nsq.LogLevelError)
	must(producer.Ping())
	beat := []byte(fmt.Sprintf(`{"id":%q,"reserved":""}`, id))
	must(producer.Publish(services, []byte(fmt.Sprintf(`{"id":%q,"name":"go","type":"go-nsq"}`, id))))
	must(producer.Publish(heartbeats, beat))
	must(producer.MultiPublish(heartbeats, [][]byte{beat, beat}))
	must(producer.DeferredPublish(heartbeats, 1000, beat))
	answers := make(chan *nsq.ProducerTransaction, 1000)
	for range cap(answers) {
		must(producer.PublishAsync(heartbeats, beat, answers))
	}
	for range cap(answers) {
		must((<-answers).Error)
	}
	err = producer.Publish("somebody.elses", beat)
	fmt.Println(err)
	must(producer.Publish(heartbeats, beat))
	producer.Stop()
	fmt.Println("done")
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
