import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DeliverCallback;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Reads payquery's order events from RabbitMQ, with com.rabbitmq:amqp-client 5 and org.slf4j:slf4j-api on the class path.
 *
 * <pre>AMQP_URL=amqp://user:password@host/vhost java -cp amqp-client.jar:slf4j-api.jar Consume.java [KEY...]</pre>
 *
 * Each event comes at least once, and those of one order in their order. So: do what is to be done, then acknowledge, and
 * pass over the message ids that were done before. KEYs are what to hear of (order.succeeded; #, everything, by default).
 */
public class Consume {
    public static void main(String[] keys) throws Exception {
        String queue = System.getenv().getOrDefault("QUEUE", "crm");
        ConnectionFactory factory = new ConnectionFactory();
        if (System.getenv("AMQP_URL") == null) {
            System.err.println("AMQP_URL says where the broker is: amqp://user:password@host/vhost");
            System.exit(1);
        }
        factory.setUri(System.getenv("AMQP_URL"));
        Connection connection = factory.newConnection("payquery consumer"); // comes back by itself after an outage
        Channel channel = connection.createChannel();
        // The same declaration as payquery's: whoever comes first makes it.
        channel.exchangeDeclare("payquery.events", BuiltinExchangeType.TOPIC, true);
        // A queue of type quorum is on several nodes. One active consumer keeps each order's events in their order. RabbitMQ 4
        // drops what came back 20 times, so also what was in hand when this failed 20 times; with a limit that is never reached
        // it does not.
        Map<String, Object> arguments = Map.of("x-queue-type", "quorum", "x-single-active-consumer", true,
                "x-delivery-limit", 1_000_000_000);
        channel.queueDeclare(queue, true, false, false, arguments);
        for (String key : keys.length > 0 ? keys : new String[] {"#"}) {
            channel.queueBind(queue, "payquery.events", key);
        }
        channel.basicQos(100);
        Set<String> done = new HashSet<>(); // in earnest: a unique column, written in the transaction that does the work
        DeliverCallback onMessage = (tag, message) -> {
            try {
                if (!done.contains(message.getProperties().getMessageId())) {
                    handle(message.getProperties().getType(), new String(message.getBody(), StandardCharsets.UTF_8));
                    done.add(message.getProperties().getMessageId());
                }
                channel.basicAck(message.getEnvelope().getDeliveryTag(), false);
            } catch (Exception failure) { // left to the library it would only close the channel, and nothing more would come
                stop(failure);
            }
        };
        channel.basicConsume(queue, false, onMessage, tag -> stop("the queue is gone"), (tag, signal) -> {
            if (!signal.isHardError()) { // a channel that the broker closed; unlike a broken line it does not come back
                stop(signal);
            }
        });
        System.out.println("waiting");
    }

    /** Whoever supervises this starts it again. What was not acknowledged comes again. */
    static void stop(Object reason) {
        System.err.println(reason);
        System.exit(1);
    }

    /** The body is JSON; use the library that you have. */
    static void handle(String type, String event) {
        System.out.println(type + " " + event);
    }
}
