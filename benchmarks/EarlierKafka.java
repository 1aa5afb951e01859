import java.util.Properties;
import java.util.function.Supplier;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;

/** Apache Kafka whose clock is late: what is appended has an append time of the past. */
public final class EarlierKafka {
    public static void main(String[] arguments) throws Exception {
        Properties properties = Utils.loadProps(arguments[1]);
        Time time = new LateTime(Long.parseLong(arguments[0]));
        KafkaRaftServer server = new KafkaRaftServer(KafkaConfig.fromProps(properties, false), time);
        Exit.addShutdownHook("shutdown", server::shutdown);
        server.startup();
        server.awaitShutdown();
    }

    private record LateTime(long lateMs) implements Time {
        @Override
        public long milliseconds() {
            return SYSTEM.milliseconds() - lateMs;
        }

        @Override
        public long nanoseconds() {
            return SYSTEM.nanoseconds();
        }

        @Override
        public void sleep(long ms) {
            SYSTEM.sleep(ms);
        }

        @Override
        public void waitObject(Object what, Supplier<Boolean> condition, long deadlineMs)
                throws InterruptedException {
            SYSTEM.waitObject(what, condition, deadlineMs + lateMs);
        }
    }
}
