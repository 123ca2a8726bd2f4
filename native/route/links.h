// The network devices of one network namespace, over rtnetlink. All functions may block, also to
// load a module: never on the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "netlink/table.h"
#include "route/dump.h"

namespace route {

// IFLA_* of <linux/if_link.h>.
struct LinkRecord {
  uint32_t present;
  char device[16];
  uint32_t mtu;
  uint8_t address[32];    // hardware address
  uint32_t address_size;  // of it, in bytes
  uint32_t index;         // ifinfomsg from here on
  uint32_t flags;         // IFF_*
  uint32_t type;          // ARPHRD_*
  char kind[16];          // IFLA_INFO_KIND of the nest IFLA_LINKINFO; empty for hardware
};

extern const netlink::Table kLinkTable;

using Links = std::vector<LinkRecord>;

// Reads one RTM_NEWLINK; false when it is malformed.
bool ReadLink(const netlink::Message& message, Links* links);

// 0 when there is no such device.
uint32_t IndexOf(const Links& links, const std::string& device);

netlink::Outcome ReadLinks(netlink::Socket* socket, int silence, Links* links);
netlink::Outcome ReadLinks(const std::shared_ptr<netlink::NetworkNamespace>& where, int silence,
                           Links* links);

// The numbers cross to JavaScript (types/addon.d.ts).
enum class LinkVerb : uint32_t { kCreate = 1, kDelete = 2, kUp = 3, kDown = 4 };

struct LinkChange {
  LinkVerb verb = LinkVerb::kUp;
  std::string device;
  std::string kind;  // of a device to create: ipip, ip6tnl, gre, ip6gre
  std::string
      parent;  // of a gre device to create: it only takes packets with a checksum from there
};

netlink::Outcome ChangeLink(const std::shared_ptr<netlink::NetworkNamespace>& where,
                            const LinkChange& change, int silence);

}  // namespace route
