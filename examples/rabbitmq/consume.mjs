// Reads payquery's order events from RabbitMQ, with amqplib (npm install amqplib).
//
//     AMQP_URL=amqp://user:password@host/vhost node consume.mjs [KEY...]
//
// Each event comes at least once, and those of one order in their order. So: do what is to be done, then acknowledge, and
// pass over the message ids that were done before. KEYs are what to hear of (`order.succeeded`; `#`, everything, by default).
import amqp from 'amqplib';

const QUEUE = process.env.QUEUE ?? 'ledger';
const keys = process.argv.length > 2 ? process.argv.slice(2) : ['#'];
const done = new Set(); // in earnest: a table with a unique column, written in the transaction that does the work

if (!process.env.AMQP_URL) {
  console.error('AMQP_URL says where the broker is: amqp://user:password@host/vhost');
  process.exit(1);
}
const connection = await amqp.connect(process.env.AMQP_URL);
connection.on('close', () => process.exit(1)); // whoever supervises this starts it again
const channel = await connection.createChannel();
// The same declaration as payquery's: whoever comes first makes it.
await channel.assertExchange('payquery.events', 'topic', { durable: true });
// A queue of type quorum is on several nodes. One active consumer keeps each order's events in their order. RabbitMQ 4 drops what
// came back 20 times, so also what was in hand when this failed 20 times; with a limit that is never reached it does not.
const options = { 'x-queue-type': 'quorum', 'x-single-active-consumer': true, 'x-delivery-limit': 1_000_000_000 };
await channel.assertQueue(QUEUE, { durable: true, arguments: options });
for (const key of keys) await channel.bindQueue(QUEUE, 'payquery.events', key);
await channel.prefetch(1); // one at a time, so that an await in `handle` lets nothing overtake
await channel.consume(QUEUE, async (message) => {
  if (message === null) throw new Error('the queue is gone');
  const id = message.properties.messageId;
  if (!done.has(id)) {
    await handle(JSON.parse(message.content));
    done.add(id);
  }
  channel.ack(message);
});
console.log('waiting');

async function handle(event) {
  console.log(event.type, event.order_id, event.out_trade_no, event.version);
}
