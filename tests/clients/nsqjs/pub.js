// Registers a service and beats through nsqjs, unchanged.
const nsq = require('nsqjs');

const [host, port, id] = process.argv.slice(2);
const beat = JSON.stringify({id, reserved: ''});
const writer = new nsq.Writer(host, Number(port));
const publish = (topic, messages) =>
  new Promise((done, failed) => writer.publish(topic, messages, (error) => (error ? failed(error) : done())));
const defer = (topic, message, ms) =>
  new Promise((done, failed) => writer.deferPublish(topic, message, ms, (error) => (error ? failed(error) : done())));

async function run() {
  await publish('taskdash.services', JSON.stringify({id, name: 'node', type: 'nsqjs'}));
  await publish('taskdash.heartbeats', beat);
  await publish('taskdash.heartbeats', [beat, beat]);
  await defer('taskdash.heartbeats', [beat], 1000);
  await Promise.all(Array.from({length: 200}, () => publish('taskdash.heartbeats', beat)));
  writer.on(nsq.Writer.CLOSED, () => console.log('done'));
  writer.close();
}

function fail(error) {
  console.log(String(error));
  process.exit(1);
}

writer.on(nsq.Writer.READY, () => run().catch(fail));
writer.on(nsq.Writer.ERROR, fail);
writer.connect();
