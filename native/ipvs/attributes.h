// Every attribute of the IPVS family, once: a row is its number in <linux/ip_vs.h>, its form on the
// wire, and its place in the flat record that crosses to JavaScript.
#pragma once

#include <cstdint>

#include "netlink/table.h"

namespace ipvs {

// IPVS_STATS_ATTR_*; values are as of the kernel's last estimate (0 to 2 s ago).
struct CountersRecord {
  uint32_t present;
  uint32_t unused;
  uint64_t connections;
  uint64_t packets_in;
  uint64_t packets_out;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t connections_per_second;
  uint64_t packets_in_per_second;
  uint64_t packets_out_per_second;
  uint64_t bytes_in_per_second;
  uint64_t bytes_out_per_second;
};

// IPVS_SVC_ATTR_*
struct ServiceRecord {
  uint32_t present;
  uint32_t family;
  uint32_t protocol;
  uint8_t address[16];
  uint32_t port;
  uint32_t fwmark;
  char scheduler[16];
  char engine[20];
  uint32_t flags;
  uint32_t flags_mask;
  uint32_t timeout;
  uint32_t netmask;
  CountersRecord counters;  // from here on: observed only
};

// IPVS_DEST_ATTR_*
struct DestinationRecord {
  uint32_t present;
  uint32_t family;
  uint8_t address[16];
  uint32_t port;
  uint32_t forwarding;
  uint32_t weight;
  uint32_t upper_threshold;
  uint32_t lower_threshold;
  uint32_t tunnel_type;
  uint32_t tunnel_port;
  uint32_t tunnel_flags;
  uint32_t active_connections;  // from here on: observed only
  uint32_t inactive_connections;
  uint32_t persistent_connections;
  uint32_t unused;
  CountersRecord counters;
};

// IPVS_DAEMON_ATTR_*
struct DaemonRecord {
  uint32_t present;
  uint32_t state;
  char interface[16];
  uint32_t sync_id;
  uint32_t max_length;
  uint32_t port;
  uint32_t ttl;
  uint32_t group;
  uint8_t group6[16];
};

// IPVS_CMD_ATTR_TIMEOUT_*
struct ConfigRecord {
  uint32_t present;
  uint32_t tcp;
  uint32_t tcp_fin;
  uint32_t udp;
};

// IPVS_INFO_ATTR_*
struct InfoRecord {
  uint32_t present;
  uint32_t version;
  uint32_t connection_table_size;
};

extern const netlink::Table kCounterTable;
extern const netlink::Table kServiceTable;
extern const netlink::Table kDestinationTable;
extern const netlink::Table kDaemonTable;
extern const netlink::Table kConfigTable;
extern const netlink::Table kInfoTable;

// Masks for netlink::Encode(). What identifies a service are its first five rows.
constexpr uint32_t kAllRows = 0xffffffff;
constexpr uint32_t kIdentityRows = 0x1f;

// The bits of rows that the code itself looks at; the tables are held against them.
constexpr uint32_t kDestinationFamilyRow = 1U << 0;
constexpr uint32_t kSchedulerRow = 1U << 5;
constexpr uint32_t kFlagsRow = 1U << 6;
constexpr uint32_t kTimeoutRow = 1U << 7;

}  // namespace ipvs
