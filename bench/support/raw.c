// What IPVS costs when nothing stands between the program and the kernel: a generic netlink loop that
// writes and reads its messages by hand. The yardstick of everything here.
//
//   raw prepare SERVICES NETNS...
//       makes a namespace ready and adds its services
//   raw change SERVICES EACH PER_SEND EDITS NETNS...
//       adds EACH destinations to each service, then changes all weights so many times, and prints
//       what each pass took, a line a namespace
//   raw read PASSES NETNS
//       reads every service and its destinations, and prints what each pass took, on a line, then
//       the peak of its memory in bytes
//
// NETNS are paths of network namespaces, each a fresh table. What is printed are nanoseconds of CPU
// time.

#define _GNU_SOURCE
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "raw_netlink.h"

// The same table as in table.mjs.
enum { kPort = 80 };
static const uint32_t kFirstService = 0x0a000001;      // 10.0.0.1, and so on
static const uint32_t kFirstDestination = 0xc0a80001;  // 192.168.0.1, and so on

static int services;
static int each;
static int per_send = 128;

static void put_service_key(uint32_t address) {
  put16(IPVS_SVC_ATTR_AF, AF_INET);
  put16(IPVS_SVC_ATTR_PROTOCOL, IPPROTO_TCP);
  put_address(IPVS_SVC_ATTR_ADDR, address);
  put16(IPVS_SVC_ATTR_PORT, htons(kPort));
}

static void put_service(uint32_t address) {
  const struct ip_vs_flags flags = {.flags = 0, .mask = ~0u};
  const size_t nest = begin_nest(IPVS_CMD_ATTR_SERVICE);
  put_service_key(address);
  put(IPVS_SVC_ATTR_SCHED_NAME, "rr", sizeof "rr");
  put(IPVS_SVC_ATTR_FLAGS, &flags, sizeof flags);
  put32(IPVS_SVC_ATTR_TIMEOUT, 0);
  put32(IPVS_SVC_ATTR_NETMASK, ~0u);
  end_nest(nest);
}

static void put_destination(uint32_t service, uint32_t address, uint32_t weight) {
  size_t nest = begin_nest(IPVS_CMD_ATTR_SERVICE);
  put_service_key(service);
  end_nest(nest);
  nest = begin_nest(IPVS_CMD_ATTR_DEST);
  put16(IPVS_DEST_ATTR_ADDR_FAMILY, AF_INET);
  put_address(IPVS_DEST_ATTR_ADDR, address);
  put16(IPVS_DEST_ATTR_PORT, htons(kPort));
  put32(IPVS_DEST_ATTR_FWD_METHOD, IP_VS_CONN_F_MASQ);
  put32(IPVS_DEST_ATTR_WEIGHT, weight);
  put32(IPVS_DEST_ATTR_U_THRESH, 0);
  put32(IPVS_DEST_ATTR_L_THRESH, 0);
  end_nest(nest);
}

// After each message: sends when enough have gathered, or when it was the last of all.
static void gathered(int fd, int count, int total) {
  uint8_t in[8192];
  end();
  if (count % per_send != 0 && count != total) return;
  last->nlmsg_flags |= NLM_F_ACK;
  exchange(fd, in, sizeof in);
  // A refusal of an earlier message would have come first, and fail() seen it.
}

// Without a device that is up, a namespace has no routes, and IPVS takes no address for a unicast
// one.
static void bring_up_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("lo");
  close(fd);
}

static void add_services(int fd) {
  for (int i = 0; i < services; ++i) {
    begin(IPVS_CMD_NEW_SERVICE);
    put_service(kFirstService + (uint32_t)i);
    gathered(fd, i + 1, services);
  }
}

static void change_destinations(int fd, uint8_t command, uint32_t weight) {
  const int total = services * each;
  for (int i = 0; i < total; ++i) {
    begin(command);
    put_destination(kFirstService + (uint32_t)(i / each), kFirstDestination + (uint32_t)i, weight);
    gathered(fd, i + 1, total);
  }
}

// What a program would want to know of an entry: its numbers, and its counters of 64 bits.
struct Entry {
  uint32_t fields[16];
  uint32_t address[4];
  uint64_t counters[16];
};

static struct Entry* entries;
static size_t entry_count;
static size_t entry_room;

static struct Entry* next_entry(void) {
  if (entry_count == entry_room) {
    entry_room = entry_room == 0 ? 1024 : 2 * entry_room;
    entries = realloc(entries, entry_room * sizeof *entries);
    if (entries == NULL) fail("memory");
  }
  struct Entry* entry = &entries[entry_count++];
  memset(entry, 0, sizeof *entry);
  return entry;
}

static void read_counters(struct Entry* entry, const uint8_t* at, const uint8_t* end) {
  while (at + kAttributeHeader <= end) {
    const struct nlattr* attribute = (const struct nlattr*)at;
    const uint8_t* value = at + kAttributeHeader;
    if (attribute->nla_len == kAttributeHeader + sizeof(uint64_t)) {
      memcpy(&entry->counters[attribute->nla_type & 15], value, sizeof(uint64_t));
    }
    at += aligned(attribute->nla_len);
  }
}

static void read_entry(const uint8_t* at, const uint8_t* end, uint16_t address, uint16_t counters) {
  struct Entry* entry = next_entry();
  while (at + kAttributeHeader <= end) {
    const struct nlattr* attribute = (const struct nlattr*)at;
    const uint8_t* value = at + kAttributeHeader;
    const size_t size = attribute->nla_len - (size_t)kAttributeHeader;
    const uint16_t type = attribute->nla_type & NLA_TYPE_MASK;
    if (type == counters) {
      read_counters(entry, value, value + size);
    } else if (type == address) {
      memcpy(entry->address, value, sizeof entry->address);
    } else if (size <= sizeof(uint32_t)) {
      memcpy(&entry->fields[type & 15], value, size);
    }
    at += aligned(attribute->nla_len);
  }
}

// Sends what was written, a dump request, and reads all of its entries.
static void dump(int fd, uint16_t address, uint16_t counters) {
  static uint8_t in[32 * 1024];
  last->nlmsg_flags |= NLM_F_DUMP;
  if (send(fd, out, length, 0) != (ssize_t)length) fail("send");
  length = 0;
  for (;;) {
    const ssize_t size = recv(fd, in, sizeof in, 0);
    if (size < NLMSG_HDRLEN) fail("recv");
    for (ssize_t at = 0; at + NLMSG_HDRLEN <= size;) {
      const struct nlmsghdr* message = (const struct nlmsghdr*)(in + at);
      if (message->nlmsg_type == NLMSG_DONE) return;
      if (message->nlmsg_type == NLMSG_ERROR) fail("the kernel refused");
      const uint8_t* nest = in + at + kGenericHeaders;
      read_entry(nest + kAttributeHeader, in + at + message->nlmsg_len, address, counters);
      at += (ssize_t)NLMSG_ALIGN(message->nlmsg_len);
    }
  }
}

static void read_table(int fd) {
  entry_count = 0;
  begin(IPVS_CMD_GET_SERVICE);
  end();
  dump(fd, IPVS_SVC_ATTR_ADDR, IPVS_SVC_ATTR_STATS64);
  const size_t found = entry_count;
  for (size_t i = 0; i < found; ++i) {
    begin(IPVS_CMD_GET_DEST);
    const size_t nest = begin_nest(IPVS_CMD_ATTR_SERVICE);
    put_service_key(ntohl(entries[i].address[0]));
    end_nest(nest);
    end();
    dump(fd, IPVS_DEST_ATTR_ADDR, IPVS_DEST_ATTR_STATS64);
  }
}

static int64_t nanoseconds(struct timeval time) {
  return 1000 * (1000000 * (int64_t)time.tv_sec + time.tv_usec);
}

static int64_t cpu_time(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) fail("getrusage");
  return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
}

static int64_t since(int64_t* start) {
  const int64_t now = cpu_time();
  const int64_t passed = now - *start;
  *start = now;
  return passed;
}

static void measure_changes(int fd, int edits) {
  int64_t start = cpu_time();
  change_destinations(fd, IPVS_CMD_NEW_DEST, 1);
  printf("%lld", (long long)since(&start));
  for (int i = 0; i < edits; ++i) {
    change_destinations(fd, IPVS_CMD_SET_DEST, 2 + (uint32_t)i);
    printf(" %lld", (long long)since(&start));
  }
  printf("\n");
}

static void measure_reads(int fd, int passes) {
  int64_t start = cpu_time();
  for (int i = 0; i < passes; ++i) {
    read_table(fd);
    printf("%lld ", (long long)since(&start));
  }
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) fail("getrusage");
  printf("\n%lld\n", 1024LL * usage.ru_maxrss);
}

static int number(const char* text) { return (int)strtol(text, NULL, 10); }

int main(int argc, char** argv) {
  const char* verb = argc > 3 ? argv[1] : "";
  if (strcmp(verb, "prepare") == 0) {
    services = number(argv[2]);
    for (int i = 3; i < argc; ++i) {
      const int fd = open_in(argv[i]);
      bring_up_loopback();
      add_services(fd);
      close(fd);
    }
  } else if (strcmp(verb, "change") == 0 && argc > 6) {
    services = number(argv[2]);
    each = number(argv[3]);
    per_send = number(argv[4]);
    for (int i = 6; i < argc; ++i) {
      const int fd = open_in(argv[i]);
      measure_changes(fd, number(argv[5]));
      close(fd);
    }
  } else if (strcmp(verb, "read") == 0) {
    measure_reads(open_in(argv[3]), number(argv[2]));
  } else {
    fprintf(stderr, "usage: raw prepare|change|read ...\n");
    return 2;
  }
  return 0;
}
