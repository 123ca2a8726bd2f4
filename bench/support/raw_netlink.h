// Generic netlink by hand, for raw.c: what is written gathers in `out`, exchange() sends it.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
