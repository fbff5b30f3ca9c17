"""Reads payquery's order events from RabbitMQ, with pika 1.3 or later (pip install pika).

    AMQP_URL=amqp://user:password@host/vhost python3 consume.py [KEY...]

Each event comes at least once, and those of one order in their order. So: do what is to be done, then acknowledge, and
pass over the message ids that were done before. KEYs are what to hear of (`order.succeeded`; `#`, everything, by default).
"""

import json
import os
import sys

import pika

QUEUE = os.environ.get("QUEUE", "warehouse")
done = set()  # in earnest: a table with a unique column, written in the transaction that does the work


def handle(event):  # within the heartbeat, a minute: nothing else is done meanwhile, and the broker takes the silent for dead
    print(event["type"], event["order_id"], event["out_trade_no"], event["version"], flush=True)


def on_message(channel, method, properties, body):
    if properties.message_id not in done:
        handle(json.loads(body))
        done.add(properties.message_id)
    channel.basic_ack(method.delivery_tag)


def main():
    if "AMQP_URL" not in os.environ:
        sys.exit("AMQP_URL says where the broker is: amqp://user:password@host/vhost")
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # The same declaration as payquery's: whoever comes first makes it.
    channel.exchange_declare("payquery.events", exchange_type="topic", durable=True)
    # A queue of type quorum is on several nodes. One active consumer keeps each order's events in their order. RabbitMQ 4 drops
    # what came back 20 times, so also what was in hand when this failed 20 times; with a limit that is never reached it does not.
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True, "x-delivery-limit": 1_000_000_000}
    channel.queue_declare(QUEUE, durable=True, arguments=arguments)
    for key in sys.argv[1:] or ["#"]:
        channel.queue_bind(QUEUE, "payquery.events", routing_key=key)
    channel.basic_qos(prefetch_count=100)
    channel.basic_consume(QUEUE, on_message)
    print("waiting", flush=True)
    channel.start_consuming()  # ends with an error when the line breaks; whoever supervises this starts it again
    sys.exit("the queue is gone")


if __name__ == "__main__":
    main()
