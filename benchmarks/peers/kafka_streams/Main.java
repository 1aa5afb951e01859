package flowsell.peers;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The common job as Kafka Streams' documentation writes it: a processor with a persistent store.
 *
 * <p>Takes the records topic, keyed by tenant, so that a customer is in one partition and nothing is
 * repartitioned; tells the segments topic. State is a RocksDB store by customer with a changelog
 * topic, behind the record cache; exactly once.
 */
public final class Main {
  private static final String CUSTOMERS = "customers";

  private Main() {}

  public static void main(String[] arguments) {
    Map<String, String> told = System.getenv();
    KafkaStreams streams = new KafkaStreams(topology(told), properties(told));
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }

  static Topology topology(Map<String, String> told) {
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(CUSTOMERS), Serdes.String(), new CustomerSerde())
            .withCachingEnabled());
    builder
        .stream(told.get("PEER_RECORDS"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(Scorer::new, CUSTOMERS)
        .to(told.get("PEER_SEGMENTS"), Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }

  static Properties properties(Map<String, String> told) {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "peers");
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told.get("PEER_BOOTSTRAP"));
    properties.put(StreamsConfig.STATE_DIR_CONFIG, told.get("PEER_STATE"));
    properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    properties.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "peer-0");
    properties.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6_000);
    properties.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 2_000);
    return properties;
  }

  /** One visit after the other. */
  private static final class Scorer implements Processor<byte[], byte[], String, byte[]> {
    private static final long MS_PER_DAY = 86_400_000L;
    private final ObjectMapper json = new ObjectMapper();
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, Customer> customers;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.customers = context.getStateStore(CUSTOMERS);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      try {
        Visit visit = Visit.read(json.readTree(record.value()));
        if (visit == null) {
          return;
        }
        Customer customer = customers.get(visit.customer());
        if (customer == null) {
          customer = new Customer();
        }
        if (!customer.keep(visit)) {
          return;
        }
        String before = customer.segment;
        customer.segment = customer.score(record.timestamp() / MS_PER_DAY);
        customers.put(visit.customer(), customer);
        if (!before.equals(customer.segment)) {
          byte[] change = json.writeValueAsBytes(visit.change(before, customer.segment, record.timestamp()));
          context.forward(new Record<>(visit.customer(), change, record.timestamp()));
        }
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
