#include "ipvs/attributes.h"

namespace ipvs {

namespace {

using netlink::Row;
using netlink::Table;
using netlink::Wire;

// Row numbers are the bits of `present`, so they have to fit into its word.
template <size_t N>
constexpr size_t CountOf(const Row (&/*rows*/)[N]) {
  static_assert(N <= 32, "a record's word of bits has room for 32 rows");
  return N;
}

#define FIELD(record, field) offsetof(record, field), sizeof(record::field)

constexpr Row kCounterRows[] = {
    {1, Wire::kCounter, FIELD(CountersRecord, connections), "connections"},
    {2, Wire::kCounter, FIELD(CountersRecord, packets_in), "packetsIn"},
    {3, Wire::kCounter, FIELD(CountersRecord, packets_out), "packetsOut"},
    {4, Wire::kCounter, FIELD(CountersRecord, bytes_in), "bytesIn"},
    {5, Wire::kCounter, FIELD(CountersRecord, bytes_out), "bytesOut"},
    {6, Wire::kCounter, FIELD(CountersRecord, connections_per_second), "connectionsPerSecond"},
    {7, Wire::kCounter, FIELD(CountersRecord, packets_in_per_second), "packetsInPerSecond"},
    {8, Wire::kCounter, FIELD(CountersRecord, packets_out_per_second), "packetsOutPerSecond"},
    {9, Wire::kCounter, FIELD(CountersRecord, bytes_in_per_second), "bytesInPerSecond"},
    {10, Wire::kCounter, FIELD(CountersRecord, bytes_out_per_second), "bytesOutPerSecond"},
};

constexpr Row kServiceRows[] = {
    {1, Wire::kU16, FIELD(ServiceRecord, family), "family"},
    {2, Wire::kU16, FIELD(ServiceRecord, protocol), "protocol"},
    {3, Wire::kAddress, FIELD(ServiceRecord, address), "address"},
    {4, Wire::kBe16, FIELD(ServiceRecord, port), "port"},
    {5, Wire::kU32, FIELD(ServiceRecord, fwmark), "fwmark"},
    {6, Wire::kText, FIELD(ServiceRecord, scheduler), "scheduler"},
    {7, Wire::kFlags, FIELD(ServiceRecord, flags), "flags"},
    {8, Wire::kU32, FIELD(ServiceRecord, timeout), "timeout"},
    {9, Wire::kRaw32, FIELD(ServiceRecord, netmask), "netmask"},
    {10, Wire::kCountersOld, FIELD(ServiceRecord, counters), "counters32"},
    {11, Wire::kText, FIELD(ServiceRecord, engine), "engine"},
    {12, Wire::kCounters, FIELD(ServiceRecord, counters), "counters"},
};

constexpr Row kDestinationRows[] = {
    {11, Wire::kU16, FIELD(DestinationRecord, family), "family"},
    {1, Wire::kAddress, FIELD(DestinationRecord, address), "address"},
    {2, Wire::kBe16, FIELD(DestinationRecord, port), "port"},
    {3, Wire::kU32, FIELD(DestinationRecord, forwarding), "forwarding"},
    {4, Wire::kU32, FIELD(DestinationRecord, weight), "weight"},
    {5, Wire::kU32, FIELD(DestinationRecord, upper_threshold), "upperThreshold"},
    {6, Wire::kU32, FIELD(DestinationRecord, lower_threshold), "lowerThreshold"},
    {7, Wire::kU32, FIELD(DestinationRecord, active_connections), "activeConnections"},
    {8, Wire::kU32, FIELD(DestinationRecord, inactive_connections), "inactiveConnections"},
    {9, Wire::kU32, FIELD(DestinationRecord, persistent_connections), "persistentConnections"},
    {10, Wire::kCountersOld, FIELD(DestinationRecord, counters), "counters32"},
    {12, Wire::kCounters, FIELD(DestinationRecord, counters), "counters"},
    {13, Wire::kU8, FIELD(DestinationRecord, tunnel_type), "tunnelType"},
    {14, Wire::kBe16, FIELD(DestinationRecord, tunnel_port), "tunnelPort"},
    {15, Wire::kU16, FIELD(DestinationRecord, tunnel_flags), "tunnelFlags"},
};

constexpr Row kDaemonRows[] = {
    {1, Wire::kU32, FIELD(DaemonRecord, state), "state"},
    {2, Wire::kText, FIELD(DaemonRecord, interface), "interface"},
    {3, Wire::kU32, FIELD(DaemonRecord, sync_id), "syncId"},
    {4, Wire::kU16, FIELD(DaemonRecord, max_length), "maxLength"},
    {5, Wire::kRaw32, FIELD(DaemonRecord, group), "group"},
    {6, Wire::kAddress, FIELD(DaemonRecord, group6), "group6"},
    {7, Wire::kU16, FIELD(DaemonRecord, port), "port"},  // in host order, unlike all other ports
    {8, Wire::kU8, FIELD(DaemonRecord, ttl), "ttl"},
};

constexpr Row kConfigRows[] = {
    {4, Wire::kU32, FIELD(ConfigRecord, tcp), "tcp"},
    {5, Wire::kU32, FIELD(ConfigRecord, tcp_fin), "tcpFin"},
    {6, Wire::kU32, FIELD(ConfigRecord, udp), "udp"},
};

constexpr Row kInfoRows[] = {
    {1, Wire::kU32, FIELD(InfoRecord, version), "version"},
    {2, Wire::kU32, FIELD(InfoRecord, connection_table_size), "connectionTableSize"},
};

#undef FIELD

static_assert(kServiceRows[5].id == 6 && kServiceRows[6].id == 7 && kServiceRows[7].id == 8,
              "kSchedulerRow, kFlagsRow and kTimeoutRow");
static_assert(kDestinationRows[0].id == 11, "kDestinationFamilyRow");

// JavaScript reads the counters through 64-bit views.
static_assert(offsetof(ServiceRecord, counters) % 8 == 0 && sizeof(ServiceRecord) % 8 == 0);
static_assert(offsetof(DestinationRecord, counters) % 8 == 0 && sizeof(DestinationRecord) % 8 == 0);

}  // namespace

constexpr Table kCounterTable = {
    "counters", kCounterRows, CountOf(kCounterRows), sizeof(CountersRecord), 0, 0, nullptr};
constexpr Table kServiceTable = {"service",
                                 kServiceRows,
                                 CountOf(kServiceRows),
                                 sizeof(ServiceRecord),
                                 offsetof(ServiceRecord, counters),
                                 offsetof(ServiceRecord, scheduler),
                                 &kCounterTable};
constexpr Table kDestinationTable = {"destination",
                                     kDestinationRows,
                                     CountOf(kDestinationRows),
                                     sizeof(DestinationRecord),
                                     offsetof(DestinationRecord, active_connections),
                                     offsetof(DestinationRecord, forwarding),
                                     &kCounterTable};
constexpr Table kDaemonTable = {"daemon",
                                kDaemonRows,
                                CountOf(kDaemonRows),
                                sizeof(DaemonRecord),
                                sizeof(DaemonRecord),
                                offsetof(DaemonRecord, interface),
                                nullptr};
constexpr Table kConfigTable = {
    "config", kConfigRows, CountOf(kConfigRows), sizeof(ConfigRecord), sizeof(ConfigRecord),
    0,        nullptr};
constexpr Table kInfoTable = {"info", kInfoRows, CountOf(kInfoRows), sizeof(InfoRecord), 0,
                              0,      nullptr};

}  // namespace ipvs
