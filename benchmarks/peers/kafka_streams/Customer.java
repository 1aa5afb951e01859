package flowsell.peers;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** The visits of one customer, and the segment told last. */
final class Customer {
  private static final int WINDOW_DAYS = 365;

  final Map<String, Kept> visits = new HashMap<>();
  String segment = "000";

  /** The newest version of one visit. */
  record Kept(long version, long day, long amount) {}

  /** Whether this version was news. */
  boolean keep(Visit visit) {
    Kept known = visits.get(visit.key());
    if (known != null && known.version() >= visit.version()) {
      return false;
    }
    visits.put(visit.key(), new Kept(visit.version(), visit.day(), visit.amount()));
    return true;
  }

  String score(long today) {
    long last = -1;
    long money = 0;
    Set<Long> days = new HashSet<>();
    for (Kept visit : visits.values()) {
      if (visit.day() < 0) {
        continue;
      }
      last = Math.max(last, visit.day());
      if (today - visit.day() < WINDOW_DAYS) {
        days.add(visit.day());
        money += visit.amount();
      }
    }
    if (last < 0) {
      return "000";
    }
    return "" + digit(-Math.max(today - last, 0), -60, -120) + digit(days.size(), 6, 3)
        + digit(money, 1_500_000, 700_000);
  }

  private static int digit(long value, long three, long two) {
    return value >= three ? 3 : value >= two ? 2 : 1;
  }
}
