package flowsell.peers;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** A customer as bytes: the segment, then each visit. */
final class CustomerSerde implements Serde<Customer> {
  @Override
  public Serializer<Customer> serializer() {
    return (topic, customer) -> customer == null ? null : write(customer);
  }

  @Override
  public Deserializer<Customer> deserializer() {
    return (topic, bytes) -> bytes == null ? null : read(bytes);
  }

  private static byte[] write(Customer customer) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(64 * (customer.visits.size() + 1));
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeUTF(customer.segment);
      out.writeInt(customer.visits.size());
      for (var each : customer.visits.entrySet()) {
        out.writeUTF(each.getKey());
        out.writeLong(each.getValue().version());
        out.writeLong(each.getValue().day());
        out.writeLong(each.getValue().amount());
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return bytes.toByteArray();
  }

  private static Customer read(byte[] bytes) {
    Customer customer = new Customer();
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      customer.segment = in.readUTF();
      for (int left = in.readInt(); left > 0; left--) {
        String key = in.readUTF();
        customer.visits.put(
            key, new Customer.Kept(in.readLong(), in.readLong(), in.readLong()));
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return customer;
  }
}
