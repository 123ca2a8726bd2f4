// Links as the kernel describes them, whole and hostile, and the packets of announcements. Meant to
// run under ASan and UBSan; exits non-zero at the first difference.

#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "route/announce.h"
#include "route/links.h"

namespace {

using netlink::Bytes;
using netlink::Message;
using netlink::MessageReader;
using netlink::MessageWriter;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << "\n";
  std::exit(1);
}

// A copy of exactly this size, so that the sanitizer sees a read one byte too far.
std::vector<uint8_t> Cut(Bytes bytes, size_t size) {
  std::vector<uint8_t> copy(bytes.data, bytes.data + size);
  copy.shrink_to_fit();
  return copy;
}

std::vector<uint8_t> LinkReply(const std::string& name, size_t address_size) {
  MessageWriter writer;
  writer.Begin(RTM_NEWLINK, NLM_F_MULTI, 7);
  ifinfomsg header{};
  header.ifi_index = 3;
  header.ifi_type = ARPHRD_ETHER;
  header.ifi_flags = 1;
  writer.Append(&header, sizeof header);
  writer.Attribute(IFLA_IFNAME, name.c_str(), name.size() + 1);
  writer.Attribute(IFLA_MTU, uint32_t{1480});
  const std::vector<uint8_t> address(address_size, 0xab);
  writer.Attribute(IFLA_ADDRESS, address.data(), address.size());
  const size_t info = writer.BeginNest(IFLA_LINKINFO);
  writer.Attribute(IFLA_INFO_KIND, "veth", 5);
  writer.EndNest(info);
  writer.Attribute(999, uint64_t{1});  // of a newer kernel
  writer.End();
  return Cut(writer.bytes(), writer.bytes().size);
}

bool ReadAll(const std::vector<uint8_t>& datagram, route::Links* links) {
  MessageReader messages({datagram.data(), datagram.size()});
  Message message;
  while (messages.Next(&message)) {
    if (!route::ReadLink(message, links)) return false;
  }
  return !messages.malformed();
}

void TestWholeLink() {
  route::Links links;
  Check(ReadAll(LinkReply("eth0", 6), &links), "a whole link is read");
  Check(links.size() == 1, "there is one");
  const route::LinkRecord& link = links.front();
  Check(std::string(link.device) == "eth0" && std::string(link.kind) == "veth", "texts");
  Check(link.mtu == 1480 && link.index == 3 && link.flags == 1, "numbers");
  Check(link.address_size == 6 && link.address[5] == 0xab && link.address[6] == 0, "the address");
  Check(route::IndexOf(links, "eth0") == 3 && route::IndexOf(links, "eth") == 0, "by its name");
}

void TestOversized() {
  route::Links links;
  Check(ReadAll(LinkReply(std::string(200, 'x'), 200), &links), "what is too long is read");
  Check(std::string(links.front().device).size() == 15, "as far as there is room");
  Check(links.front().address_size == sizeof links.front().address, "here as well");
}

void TestHostileLinks() {
  const std::vector<uint8_t> whole = LinkReply("eth0", 6);
  for (size_t size = 1; size < whole.size(); ++size) {
    route::Links links;
    Check(!ReadAll(Cut({whole.data(), whole.size()}, size), &links), "a cut link is refused");
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int bits : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> flipped = Cut({whole.data(), whole.size()}, whole.size());
      flipped[at] = static_cast<uint8_t>(flipped[at] ^ bits);
      route::Links links;
      ReadAll(flipped, &links);  // any answer, but nothing outside of the bytes
    }
  }
}

constexpr route::HardwareAddress kHardware = {2, 0, 0, 0, 0, 1};

void TestArp() {
  const uint8_t address[4] = {10, 0, 0, 1};
  const route::ArpPacket expected = {0,  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,  0, 0, 1,
                                     10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
  Check(route::ArpAnnouncement(kHardware, address) == expected, "RFC 5227's announcement");
}

// The sum of everything that the checksum covers, and of itself, is all ones.
void TestAdvertisement() {
  const uint8_t address[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  for (const bool router : {false, true}) {
    const route::AdvertisementPacket packet = route::Advertisement(kHardware, address, router);
    uint32_t sum = 32 + 58;
    for (size_t i = 8; i < packet.size(); i += 2) {
      sum += static_cast<uint32_t>(packet[i]) * 256 + packet[i + 1];
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    Check(sum == 0xffff, "the checksum is right");
    Check(packet[7] == 255, "the hop limit is the only one that is believed");
    Check(packet[44] == (router ? 0xa0 : 0x20), "it overrides, and says who is a router");
    Check(packet[65] == 1 && packet[71] == 1, "it has the hardware address");
  }
}

}  // namespace

int main() {
  TestWholeLink();
  TestOversized();
  TestHostileLinks();
  TestArp();
  TestAdvertisement();
}
