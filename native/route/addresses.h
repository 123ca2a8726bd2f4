// The addresses and links of one network namespace, over rtnetlink. All functions may block: never
// on the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "netlink/table.h"
#include "route/dump.h"

namespace route {

// IFA_* of <linux/if_addr.h>. The fields behind the attributes come from ifaddrmsg; the device is
// carried by name, because JavaScript knows no interface numbers.
struct AddressRecord {
  uint32_t present;
  uint8_t address[16];  // the peer's on point-to-point links, else the same as local
  uint8_t local[16];    // absent for IPv6 without a peer
  char label[16];       // IPv4 only
  uint32_t flags;       // IFA_F_*
  uint32_t family;      // ifaddrmsg from here on
  uint32_t prefix_length;
  uint32_t scope;
  char device[16];
};

extern const netlink::Table kAddressTable;

// A deprecated IPv6 address is one that the kernel does not choose as the source of what this
// machine sends by itself.
enum class ChangeKind : uint32_t { kAdd = 1, kDelete = 2, kAddDeprecated = 3 };

// One change: the kind, a word of padding, then an address record.
struct ChangeHeader {
  uint32_t kind;
  uint32_t unused;
};

inline size_t ChangeSize() { return sizeof(ChangeHeader) + kAddressTable.record_size; }

// The device that an address record names.
std::string DeviceOf(const uint8_t* record);

// Every address of the namespace; those of one device when `device` is not empty (ENODEV when there
// is no such device).
netlink::Outcome ReadAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                               const std::string& device, int silence, Records* addresses);

// Carries out changes in order; one outcome each.
void ChangeAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const Records& changes, int silence, std::vector<netlink::Outcome>* outcomes);

}  // namespace route
