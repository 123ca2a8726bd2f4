#include "route/addresses.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>

namespace route {

namespace {

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

#define FIELD(field) offsetof(AddressRecord, field), sizeof(AddressRecord::field)

constexpr Row kAddressRows[] = {
    {IFA_ADDRESS, Wire::kAddress, FIELD(address), "address"},
    {IFA_LOCAL, Wire::kAddress, FIELD(local), "local"},
    {IFA_LABEL, Wire::kText, FIELD(label), "label"},
    {IFA_FLAGS, Wire::kU32, FIELD(flags), "flags"},
};

#undef FIELD

using Links = std::map<uint32_t, std::string>;

// Addresses come and go while they are listed, and then the kernel says so.
constexpr int kDumpAttempts = 8;

// Refusals cost as much of the receive buffer here as anywhere (see ipvs/client.cc).
constexpr size_t kMessagesPerSend = 128;

Outcome DumpAll(Socket* socket, int silence, uint16_t type, const void* header, size_t size,
                const std::function<void()>& restart,
                const std::function<bool(const Message&)>& read) {
  Outcome outcome;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    restart();
    RequestBatch batch(socket);
    MessageWriter& writer = batch.Begin(type, NLM_F_DUMP);
    writer.Append(header, size);
    writer.End();
    outcome = netlink::Dump(socket, &batch, Deadline(silence), read);
    if (outcome.stage != Stage::kReply || outcome.error != EINTR) break;
  }
  return outcome;
}

Outcome ReadLinks(Socket* socket, int silence, Links* links) {
  const ifinfomsg header{};
  return DumpAll(
      socket, silence, RTM_GETLINK, &header, sizeof header, [&] { links->clear(); },
      [&](const Message& message) {
        if (message.payload.size < sizeof(ifinfomsg)) return false;
        const auto link = Load<ifinfomsg>(message.payload.data);
        netlink::AttributeReader attributes(message.payload.From(netlink::Align(sizeof link)));
        netlink::AttributeView attribute;
        while (attributes.Next(&attribute)) {
          if (attribute.type != IFLA_IFNAME) continue;
          const auto* name = reinterpret_cast<const char*>(attribute.payload.data);
          (*links)[static_cast<uint32_t>(link.ifi_index)] =
              std::string(name, strnlen(name, attribute.payload.size));
        }
        return !attributes.malformed();
      });
}

uint32_t IndexOf(const Links& links, const std::string& device) {
  for (const auto& [index, name] : links) {
    if (name == device) return index;
  }
  return 0;
}

std::string DeviceOf(const uint8_t* record) {
  const auto* name = reinterpret_cast<const char*>(record + offsetof(AddressRecord, device));
  return {name, strnlen(name, sizeof(AddressRecord::device))};
}

void FillFromHeader(const ifaddrmsg& header, const std::string& device, uint8_t* record) {
  Store<uint32_t>(record + offsetof(AddressRecord, family), header.ifa_family);
  Store<uint32_t>(record + offsetof(AddressRecord, prefix_length), header.ifa_prefixlen);
  Store<uint32_t>(record + offsetof(AddressRecord, scope), header.ifa_scope);
  // The header's flags are the low byte of the attribute's, which old kernels do not send.
  Store<uint32_t>(record + offsetof(AddressRecord, flags), header.ifa_flags);
  device.copy(reinterpret_cast<char*>(record + offsetof(AddressRecord, device)),
              sizeof(AddressRecord::device) - 1);
}

bool ReadAddress(const Message& message, const Links& links, uint32_t wanted, Records* addresses) {
  if (message.payload.size < sizeof(ifaddrmsg)) return false;
  const auto header = Load<ifaddrmsg>(message.payload.data);
  if (wanted != 0 && header.ifa_index != wanted) return true;
  const auto link = links.find(header.ifa_index);
  // A link that appeared between the two dumps is as if it had appeared after them.
  if (link == links.end()) return true;
  const size_t start = addresses->size();
  addresses->resize(start + kAddressTable.record_size, 0);
  FillFromHeader(header, link->second, addresses->data() + start);
  return netlink::Decode(kAddressTable, message.payload.From(netlink::Align(sizeof header)),
                         addresses->data() + start);
}

void WriteChange(const uint8_t* change, uint32_t index, RequestBatch* batch) {
  const auto kind = Load<uint32_t>(change + offsetof(ChangeHeader, kind));
  const bool add = kind == static_cast<uint32_t>(ChangeKind::kAdd);
  const uint8_t* record = change + sizeof(ChangeHeader);
  MessageWriter& writer = batch->Begin(add ? RTM_NEWADDR : RTM_DELADDR,
                                       static_cast<uint16_t>(add ? NLM_F_CREATE | NLM_F_EXCL : 0));
  ifaddrmsg header{};
  header.ifa_family =
      static_cast<uint8_t>(Load<uint32_t>(record + offsetof(AddressRecord, family)));
  header.ifa_prefixlen =
      static_cast<uint8_t>(Load<uint32_t>(record + offsetof(AddressRecord, prefix_length)));
  header.ifa_scope = static_cast<uint8_t>(Load<uint32_t>(record + offsetof(AddressRecord, scope)));
  header.ifa_index = index;
  writer.Append(&header, sizeof header);
  netlink::Encode(kAddressTable, record, ~uint32_t{0}, header.ifa_family == AF_INET ? 4 : 16,
                  &writer);
  writer.End();
}

// Sends what fits into one batch; requests for unknown devices are answered here.
void ChangeChunk(Socket* socket, const uint8_t* changes, size_t count, const Links& links,
                 int silence, Outcome* outcomes) {
  RequestBatch batch(socket);
  std::vector<size_t> sent;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* change = changes + i * ChangeSize();
    const uint32_t index = IndexOf(links, DeviceOf(change + sizeof(ChangeHeader)));
    if (index == 0) {
      outcomes[i] = Failure(Stage::kKernel, ENODEV);
      continue;
    }
    WriteChange(change, index, &batch);
    sent.push_back(i);
  }
  if (sent.empty()) return;
  std::vector<Outcome> told;
  netlink::Exchange(socket, &batch, Deadline(silence), &told);
  for (size_t i = 0; i < sent.size(); ++i) outcomes[sent[i]] = told[i];
}

}  // namespace

constexpr netlink::Table kAddressTable = {
    "address", kAddressRows, std::size(kAddressRows), sizeof(AddressRecord), sizeof(AddressRecord),
    0,         nullptr,
};

Outcome ReadAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                      const std::string& device, int silence, Records* addresses) {
  Socket socket;
  Links links;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  if (outcome.ok()) outcome = ReadLinks(&socket, silence, &links);
  if (!outcome.ok()) return outcome;
  const uint32_t wanted = device.empty() ? 0 : IndexOf(links, device);
  if (!device.empty() && wanted == 0) return Failure(Stage::kKernel, ENODEV);
  const ifaddrmsg header{};
  return DumpAll(
      &socket, silence, RTM_GETADDR, &header, sizeof header, [&] { addresses->clear(); },
      [&](const Message& message) { return ReadAddress(message, links, wanted, addresses); });
}

void ChangeAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const Records& changes, int silence, std::vector<Outcome>* outcomes) {
  const size_t count = changes.size() / ChangeSize();
  outcomes->assign(count, Failure(Stage::kSend, ECANCELED));
  Socket socket;
  Links links;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  if (outcome.ok()) outcome = ReadLinks(&socket, silence, &links);
  if (!outcome.ok()) {
    // Reading failed, so that nothing was changed.
    if (outcome.stage == Stage::kReply) outcome.stage = Stage::kSend;
    outcomes->assign(count, outcome);
    return;
  }
  for (size_t done = 0; done < count; done += kMessagesPerSend) {
    const size_t size = std::min(kMessagesPerSend, count - done);
    ChangeChunk(&socket, changes.data() + done * ChangeSize(), size, links, silence,
                outcomes->data() + done);
    if ((*outcomes)[done + size - 1].stage == Stage::kReply) return;
  }
}

}  // namespace route
