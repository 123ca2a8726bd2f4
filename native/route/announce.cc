#include "route/announce.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <unordered_map>

#include "route/addresses.h"
#include "route/links.h"

namespace route {

namespace {

using netlink::Bytes;
using netlink::Descriptor;
using netlink::Failure;
using netlink::Load;
using netlink::Outcome;
using netlink::Stage;
using netlink::Store;

constexpr HardwareAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr HardwareAddress kAllNodesHardware = {0x33, 0x33, 0, 0, 0, 1};
constexpr std::array<uint8_t, 16> kAllNodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                               0,    0,    0, 0, 0, 0, 0, 1};

constexpr size_t kIpv6Header = 40;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kNeighbourAdvertisement = 136;
constexpr uint8_t kRouterFlag = 0x80;
constexpr uint8_t kOverrideFlag = 0x20;
constexpr uint8_t kTargetLinkLayerAddress = 2;
constexpr uint8_t kMostHops = 255;  // others are not believed

uint32_t SumOf(const uint8_t* bytes, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i += 2) sum += static_cast<uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  return sum;
}

// Over the addresses, the length, the protocol and the message (RFC 8200, section 8.1).
uint16_t Checksum(const AdvertisementPacket& packet) {
  const size_t size = packet.size() - kIpv6Header;
  uint32_t sum = SumOf(&packet[8], 32) + static_cast<uint32_t>(size) + kIcmpv6 +
                 SumOf(&packet[kIpv6Header], size);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// A packet socket that receives nothing.
Outcome OpenHere(Descriptor* opened) {
  Descriptor descriptor(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!descriptor.valid()) return Failure(Stage::kKernel, errno);
  *opened = std::move(descriptor);
  return {};
}

Outcome Send(int descriptor, uint32_t index, uint16_t protocol, const HardwareAddress& to,
             Bytes packet) {
  sockaddr_ll target{};
  target.sll_family = AF_PACKET;
  target.sll_protocol = htons(protocol);
  target.sll_ifindex = static_cast<int>(index);
  target.sll_halen = ETH_ALEN;
  std::copy(to.begin(), to.end(), target.sll_addr);
  for (;;) {
    const ssize_t sent = sendto(descriptor, packet.data, packet.size, 0,
                                reinterpret_cast<sockaddr*>(&target), sizeof target);
    if (sent >= 0) return {};
    if (errno != EINTR) return Failure(Stage::kKernel, errno);
  }
}

Outcome AnnounceOne(int descriptor, const LinkRecord& link, const uint8_t* announcement) {
  if (link.type != ARPHRD_ETHER || link.address_size != ETH_ALEN) {
    return Failure(Stage::kKernel, EOPNOTSUPP);
  }
  HardwareAddress hardware{};
  std::copy_n(link.address, hardware.size(), hardware.begin());
  const uint8_t* record = announcement + sizeof(ChangeHeader);
  const uint8_t* address = record + offsetof(AddressRecord, local);
  if (Load<uint32_t>(record + offsetof(AddressRecord, family)) == AF_INET) {
    const ArpPacket packet = ArpAnnouncement(hardware, address);
    return Send(descriptor, link.index, ETH_P_ARP, kBroadcast, {packet.data(), packet.size()});
  }
  const auto speaker = Load<uint32_t>(announcement + offsetof(ChangeHeader, kind));
  const AdvertisementPacket packet =
      Advertisement(hardware, address, speaker == static_cast<uint32_t>(Speaker::kRouter));
  return Send(descriptor, link.index, ETH_P_IPV6, kAllNodesHardware,
              {packet.data(), packet.size()});
}

}  // namespace

ArpPacket ArpAnnouncement(const HardwareAddress& hardware, const uint8_t* address) {
  // Ethernet, IPv4, their sizes, a question; then the sender's addresses and those asked for.
  ArpPacket packet = {0, ARPHRD_ETHER, ETH_P_IP >> 8, 0, ETH_ALEN, 4, 0, ARPOP_REQUEST};
  std::copy(hardware.begin(), hardware.end(), &packet[8]);
  std::copy_n(address, 4, &packet[14]);
  std::copy_n(address, 4, &packet[24]);
  return packet;
}

AdvertisementPacket Advertisement(const HardwareAddress& hardware, const uint8_t* address,
                                  bool router) {
  AdvertisementPacket packet{};
  packet[0] = 6 << 4;
  packet[5] = static_cast<uint8_t>(packet.size() - kIpv6Header);
  packet[6] = kIcmpv6;
  packet[7] = kMostHops;
  std::copy_n(address, 16, &packet[8]);
  std::copy(kAllNodes.begin(), kAllNodes.end(), &packet[24]);
  packet[40] = kNeighbourAdvertisement;
  packet[44] = static_cast<uint8_t>(kOverrideFlag | (router ? kRouterFlag : 0));
  std::copy_n(address, 16, &packet[48]);
  packet[64] = kTargetLinkLayerAddress;
  packet[65] = 1;  // times 8 bytes
  std::copy(hardware.begin(), hardware.end(), &packet[66]);
  Store<uint16_t>(&packet[42], htons(Checksum(packet)));
  return packet;
}

void Announce(const std::shared_ptr<netlink::NetworkNamespace>& where, const Records& announcements,
              int silence, std::vector<Outcome>* outcomes) {
  const size_t count = announcements.size() / ChangeSize();
  Links links;
  Descriptor descriptor;
  Outcome outcome = BeforeChange(ReadLinks(where, silence, &links));
  if (outcome.ok()) {
    outcome = netlink::RunInNamespace(where, [&] { return OpenHere(&descriptor); });
  }
  outcomes->assign(count, outcome);
  if (!outcome.ok()) return;
  std::unordered_map<std::string, const LinkRecord*> by_name;
  for (const LinkRecord& link : links) by_name.emplace(link.device, &link);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* announcement = announcements.data() + i * ChangeSize();
    const auto found = by_name.find(DeviceOf(announcement + sizeof(ChangeHeader)));
    (*outcomes)[i] = found == by_name.end()
                         ? Failure(Stage::kKernel, ENODEV)
                         : AnnounceOne(descriptor.get(), *found->second, announcement);
  }
}

}  // namespace route
