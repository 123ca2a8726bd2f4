#include "route/links.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace route {

namespace {

using netlink::AttributeReader;
using netlink::AttributeView;
using netlink::Bytes;
using netlink::Deadline;
using netlink::Failure;
using netlink::Load;
using netlink::Message;
using netlink::MessageWriter;
using netlink::Outcome;
using netlink::RequestBatch;
using netlink::Row;
using netlink::Socket;
using netlink::Stage;
using netlink::Store;
using netlink::Wire;

#define FIELD(field) offsetof(LinkRecord, field), sizeof(LinkRecord::field)

constexpr Row kLinkRows[] = {
    {IFLA_IFNAME, Wire::kText, FIELD(device), "device"},
    {IFLA_MTU, Wire::kU32, FIELD(mtu), "mtu"},
    {IFLA_ADDRESS, Wire::kAddress, FIELD(address), "address"},
};

#undef FIELD

// GRE_CSUM of <linux/if_tunnel.h>, which is there in network order.
constexpr uint16_t kGreChecksum = 0x8000;

bool ReadKind(Bytes link_info, LinkRecord* record) {
  AttributeReader attributes(link_info);
  AttributeView attribute;
  while (attributes.Next(&attribute)) {
    if (attribute.type != IFLA_INFO_KIND) continue;
    const size_t size = std::min(attribute.payload.size, sizeof record->kind - 1);
    std::copy_n(attribute.payload.data, size, record->kind);
  }
  return !attributes.malformed();
}

// What the table cannot say: the size of the hardware address, and what lies in a nest.
bool ReadRest(Bytes bytes, LinkRecord* record) {
  AttributeReader attributes(bytes);
  AttributeView attribute;
  while (attributes.Next(&attribute)) {
    if (attribute.type == IFLA_ADDRESS) {
      record->address_size =
          static_cast<uint32_t>(std::min(attribute.payload.size, sizeof record->address));
    }
    if (attribute.type == IFLA_LINKINFO && !ReadKind(attribute.payload, record)) return false;
  }
  return !attributes.malformed();
}

void WriteText(uint16_t type, const std::string& text, MessageWriter* writer) {
  writer->Attribute(type, text.c_str(), text.size() + 1);
}

void WriteCreation(const LinkChange& change, uint32_t parent, MessageWriter* writer) {
  const size_t info = writer->BeginNest(IFLA_LINKINFO);
  WriteText(IFLA_INFO_KIND, change.kind, writer);
  if (parent != 0) {
    const size_t data = writer->BeginNest(IFLA_INFO_DATA);
    writer->Attribute(IFLA_GRE_LINK, parent);
    writer->Attribute(IFLA_GRE_IFLAGS, htons(kGreChecksum));
    writer->Attribute(IFLA_GRE_OFLAGS, htons(kGreChecksum));
    writer->EndNest(data);
  }
  writer->EndNest(info);
}

void WriteChange(const LinkChange& change, uint32_t parent, RequestBatch* batch) {
  const bool creates = change.verb == LinkVerb::kCreate;
  const bool deletes = change.verb == LinkVerb::kDelete;
  MessageWriter& writer = batch->Begin(creates   ? RTM_NEWLINK
                                       : deletes ? RTM_DELLINK
                                                 : RTM_SETLINK,
                                       creates ? NLM_F_CREATE | NLM_F_EXCL : 0);
  ifinfomsg header{};
  if (!creates && !deletes) {
    header.ifi_change = IFF_UP;
    header.ifi_flags = change.verb == LinkVerb::kUp ? IFF_UP : 0;
  }
  writer.Append(&header, sizeof header);
  WriteText(IFLA_IFNAME, change.device, &writer);
  if (creates) WriteCreation(change, parent, &writer);
  writer.End();
}

}  // namespace

constexpr netlink::Table kLinkTable = {
    "link", kLinkRows, std::size(kLinkRows), sizeof(LinkRecord), sizeof(LinkRecord), 0, nullptr,
};

bool ReadLink(const Message& message, Links* links) {
  if (message.payload.size < sizeof(ifinfomsg)) return false;
  const auto header = Load<ifinfomsg>(message.payload.data);
  LinkRecord record{};
  record.index = static_cast<uint32_t>(header.ifi_index);
  record.flags = header.ifi_flags;
  record.type = header.ifi_type;
  const Bytes attributes = message.payload.From(netlink::Align(sizeof header));
  if (!netlink::Decode(kLinkTable, attributes, reinterpret_cast<uint8_t*>(&record))) return false;
  if (!ReadRest(attributes, &record)) return false;
  links->push_back(record);
  return true;
}

uint32_t IndexOf(const Links& links, const std::string& device) {
  for (const LinkRecord& link : links) {
    if (device == link.device) return link.index;
  }
  return 0;
}

Outcome ReadLinks(Socket* socket, int silence, Links* links) {
  const auto begin = [](MessageWriter* writer) {
    const ifinfomsg header{};
    writer->Append(&header, sizeof header);
    writer->Attribute(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  };
  return DumpAll(
      socket, silence, RTM_GETLINK, begin, [links] { links->clear(); },
      [links](const Message& message) { return ReadLink(message, links); });
}

Outcome ReadLinks(const std::shared_ptr<netlink::NetworkNamespace>& where, int silence,
                  Links* links) {
  Socket socket;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  return outcome.ok() ? ReadLinks(&socket, silence, links) : outcome;
}

Outcome ChangeLink(const std::shared_ptr<netlink::NetworkNamespace>& where,
                   const LinkChange& change, int silence) {
  Socket socket;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  if (!outcome.ok()) return outcome;
  uint32_t parent = 0;
  if (!change.parent.empty()) {
    Links links;
    outcome = ReadLinks(&socket, silence, &links);
    if (!outcome.ok()) return BeforeChange(outcome);
    parent = IndexOf(links, change.parent);
    if (parent == 0) return Failure(Stage::kKernel, ENODEV);
  }
  RequestBatch batch(&socket);
  WriteChange(change, parent, &batch);
  return netlink::ExchangeOne(&socket, &batch, Deadline(silence));
}

}  // namespace route
