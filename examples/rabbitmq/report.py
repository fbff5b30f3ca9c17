"""Reports an order's status to payquery by RabbitMQ, and prints the answer. With pika 1.3 or later (pip install pika).

    AMQP_URL=amqp://… PAYQUERY_API_KEY=pqk_… python3 report.py '{"order_id":"…","status":"succeeded","amount":1000}'
"""

import json
import os
import sys
import uuid

import pika


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()  # basic_publish then raises unless the broker has the message
    answers = channel.queue_declare("", exclusive=True).method.queue
    properties = pika.BasicProperties(
        headers={"api-key": os.environ["PAYQUERY_API_KEY"]},
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent,
        message_id=str(uuid.uuid4()),
        reply_to=answers,
        correlation_id="1",
    )
    channel.basic_publish("", "payquery.updates", sys.argv[1].encode(), properties, mandatory=True)
    for _, answer, body in channel.consume(answers, auto_ack=True, inactivity_timeout=30):
        if answer is None:
            sys.exit("no answer within 30 s; the report waits in the queue")
        status = answer.headers["payquery-status"]
        print(status, json.dumps(json.loads(body)))
        sys.exit(0 if status == 200 else 1)


if __name__ == "__main__":
    main()
