// What a change costs when nothing stands between the program and the kernel: a generic netlink
// loop that writes its messages by hand. The yardstick of changes.mjs.
//
//   raw prepare NETNS...   makes a namespace ready and adds its services
//   raw measure NETNS...   adds the destinations, then changes their weights, and prints the
//                          nanoseconds of CPU time that each of the two took, a line a namespace
//
// NETNS are paths of network namespaces, each a fresh table.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// The same table as in table.mjs.
enum { kServices = 100, kDestinationsEach = 10, kPort = 80 };
static const uint32_t kFirstService = 0x0a000001;      // 10.0.0.1, and so on
static const uint32_t kFirstDestination = 0xc0a80001;  // 192.168.0.1, and so on

// More gain nothing, and if all of them failed, the replies would still fit the receive buffer.
enum { kMessagesPerSend = 128 };

enum { kAttributeHeader = sizeof(struct nlattr), kGenericHeaders = NLMSG_HDRLEN + GENL_HDRLEN };

static uint8_t out[64 * 1024];
static size_t length;
static struct nlmsghdr* last;
static uint16_t family = GENL_ID_CTRL;
static uint32_t sequence;

static void fail(const char* what) {
  fprintf(stderr, "raw: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint16_t aligned(int size) { return (uint16_t)NLA_ALIGN(size); }

static void begin(uint8_t command) {
  last = (struct nlmsghdr*)(out + length);
  *last = (struct nlmsghdr){
      .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++sequence};
  struct genlmsghdr* generic = NLMSG_DATA(last);
  *generic = (struct genlmsghdr){.cmd = command, .version = 1};
  length += kGenericHeaders;
}

static void end(void) { last->nlmsg_len = (uint32_t)(out + length - (uint8_t*)last); }

static void put(uint16_t type, const void* value, uint16_t size) {
  struct nlattr* attribute = (struct nlattr*)(out + length);
  *attribute = (struct nlattr){.nla_type = type, .nla_len = (uint16_t)(kAttributeHeader + size)};
  memcpy(out + length + kAttributeHeader, value, size);
  length += aligned(kAttributeHeader + size);
}

static void put16(uint16_t type, uint16_t value) { put(type, &value, sizeof value); }

static void put32(uint16_t type, uint32_t value) { put(type, &value, sizeof value); }

// The kernel wants room for an IPv6 address, whatever the family.
static void put_address(uint16_t type, uint32_t address) {
  const uint32_t words[4] = {htonl(address)};
  put(type, words, sizeof words);
}

static size_t begin_nest(uint16_t type) {
  const size_t start = length;
  put(type | NLA_F_NESTED, NULL, 0);
  return start;
}

static void end_nest(size_t start) {
  ((struct nlattr*)(out + start))->nla_len = (uint16_t)(length - start);
}

// Sends what was written and returns the size of the reply in `in`, an acknowledgement unless a
// message asked for more.
static ssize_t exchange(int fd, uint8_t* in, size_t room) {
  if (send(fd, out, length, 0) != (ssize_t)length) fail("send");
  length = 0;
  const ssize_t size = recv(fd, in, room, 0);
  if (size < NLMSG_HDRLEN) fail("recv");
  const struct nlmsghdr* reply = (const struct nlmsghdr*)in;
  if (reply->nlmsg_type == NLMSG_ERROR) {
    errno = -((const struct nlmsgerr*)NLMSG_DATA(reply))->error;
    if (errno != 0) fail("the kernel refused");
  }
  return size;
}

static void resolve_family(int fd) {
  uint8_t in[4096];
  family = GENL_ID_CTRL;
  begin(CTRL_CMD_GETFAMILY);
  put(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME, sizeof IPVS_GENL_NAME);
  end();
  const ssize_t size = exchange(fd, in, sizeof in);
  for (ssize_t at = kGenericHeaders; at + kAttributeHeader <= size;) {
    const struct nlattr* attribute = (const struct nlattr*)(in + at);
    if (attribute->nla_type == CTRL_ATTR_FAMILY_ID) {
      memcpy(&family, in + at + kAttributeHeader, sizeof family);
      return;
    }
    at += aligned(attribute->nla_len);
  }
  fail("there is no IPVS");
}

// A socket belongs to the namespace that its maker was in.
static int open_in(const char* netns) {
  const int namespace = open(netns, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) != 0) fail(netns);
  close(namespace);
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd < 0 || connect(fd, (const struct sockaddr*)&kernel, sizeof kernel) != 0) fail("socket");
  resolve_family(fd);
  return fd;
}

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
  if (count % kMessagesPerSend != 0 && count != total) return;
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
  for (int i = 0; i < kServices; ++i) {
    begin(IPVS_CMD_NEW_SERVICE);
    put_service(kFirstService + (uint32_t)i);
    gathered(fd, i + 1, kServices);
  }
}

static void change_destinations(int fd, uint8_t command, uint32_t weight) {
  const int total = kServices * kDestinationsEach;
  for (int i = 0; i < total; ++i) {
    begin(command);
    put_destination(kFirstService + (uint32_t)(i / kDestinationsEach),
                    kFirstDestination + (uint32_t)i, weight);
    gathered(fd, i + 1, total);
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

static void measure(int fd) {
  const int64_t start = cpu_time();
  change_destinations(fd, IPVS_CMD_NEW_DEST, 1);
  const int64_t added = cpu_time();
  change_destinations(fd, IPVS_CMD_SET_DEST, 2);
  const int64_t changed = cpu_time();
  printf("%lld %lld\n", (long long)(added - start), (long long)(changed - added));
}

int main(int argc, char** argv) {
  const int preparing = argc > 2 && strcmp(argv[1], "prepare") == 0;
  if (!preparing && (argc < 3 || strcmp(argv[1], "measure") != 0)) {
    fprintf(stderr, "usage: raw prepare|measure NETNS...\n");
    return 2;
  }
  for (int i = 2; i < argc; ++i) {
    const int fd = open_in(argv[i]);
    if (preparing) {
      bring_up_loopback();
      add_services(fd);
    } else {
      measure(fd);
    }
    close(fd);
  }
  return 0;
}
