package flowsell.peers;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;

/** One version of a visit; the day is -1 where it was not attended. */
record Visit(String tenant, String phone, String key, long version, long day, long amount) {
  private static final DateTimeFormatter CHANGED =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssxx");

  /** The visit that a record tells of; null where it tells of none. */
  static Visit read(JsonNode record) {
    JsonNode body = record.path("body");
    return switch (record.path("provider").asText()) {
      case "yclients" -> body.path("resource").asText().equals("record") ? yclients(record, body) : null;
      case "generic" -> body.path("type").asText().equals("visit") ? generic(record, body) : null;
      default -> null;
    };
  }

  private static Visit yclients(JsonNode record, JsonNode body) {
    JsonNode data = body.get("data");
    boolean attended =
        data.get("attendance").asInt() == 1
            && !data.get("deleted").asBoolean()
            && !body.get("status").asText().equals("delete");
    long amount = 0;
    for (JsonNode service : data.get("services")) {
      amount += service.get("cost").asLong() * service.get("amount").asLong() * 100;
    }
    return new Visit(
        record.get("tenant").asText(),
        digits(data.get("client").get("phone").asText()),
        "y" + body.get("company_id").asText() + ":" + body.get("resource_id").asText(),
        OffsetDateTime.parse(data.get("last_change_date").asText(), CHANGED).toEpochSecond(),
        attended ? day(data.get("date").asText()) : -1,
        amount);
  }

  private static Visit generic(JsonNode record, JsonNode body) {
    return new Visit(
        record.get("tenant").asText(),
        digits(body.get("phone").asText()),
        "g" + body.get("id").asText(),
        body.get("version").asLong(),
        body.get("status").asText().equals("attended") ? day(body.get("starts_at").asText()) : -1,
        body.get("amount_minor").asLong());
  }

  private static long day(String date) {
    return LocalDate.parse(date.substring(0, 10)).toEpochDay();
  }

  /** A phone's digits as the international number has them: a first 8 stands for 7. */
  private static String digits(String written) {
    StringBuilder digits = new StringBuilder(written.length());
    for (int at = 0; at < written.length(); at++) {
      if (Character.isDigit(written.charAt(at))) {
        digits.append(written.charAt(at));
      }
    }
    if (digits.length() == 11 && digits.charAt(0) == '8') {
      digits.setCharAt(0, '7');
    }
    return digits.toString();
  }

  String customer() {
    return tenant + "|" + phone;
  }

  /** The output's value. */
  Map<String, Object> change(String before, String after, long at) {
    Map<String, Object> change = new LinkedHashMap<>();
    change.put("tenant", tenant);
    change.put("phone", phone);
    change.put("from", before);
    change.put("to", after);
    change.put("visit", key);
    change.put("version", version);
    change.put("at", at);
    return change;
  }
}
