// Telling the neighbours where an address is, without having been asked: gratuitous ARP (RFC 5227)
// and unsolicited neighbour advertisements (RFC 4861). Blocks: never on the main thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "netlink/namespace.h"
#include "route/dump.h"

namespace route {

using HardwareAddress = std::array<uint8_t, 6>;
using ArpPacket = std::array<uint8_t, 28>;
using AdvertisementPacket = std::array<uint8_t, 72>;

// An ARP question for the address from its own holder.
ArpPacket ArpAnnouncement(const HardwareAddress& hardware, const uint8_t* address);

// An IPv6 packet to all nodes. Neighbours forget a router that says it is none, so it has to say.
AdvertisementPacket Advertisement(const HardwareAddress& hardware, const uint8_t* address,
                                  bool router);

enum class Speaker : uint32_t { kHost = 1, kRouter = 2 };

// `announcements` has the form of changes of addresses (route/addresses.h), with a Speaker for the
// kind. One outcome each: ENODEV, EOPNOTSUPP for a device without an Ethernet address, or what
// the kernel says of sending.
void Announce(const std::shared_ptr<netlink::NetworkNamespace>& where, const Records& announcements,
              int silence, std::vector<netlink::Outcome>* outcomes);

}  // namespace route
