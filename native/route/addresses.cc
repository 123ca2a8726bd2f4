#include "route/addresses.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <unordered_map>

#include "route/links.h"

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

constexpr uint32_t kForever = 0xffffffff;

// Refusals cost as much of the receive buffer here as anywhere (see ipvs/client.cc).
constexpr size_t kMessagesPerSend = 128;

// Devices by name and by number: there may be thousands, and as many changes.
struct Devices {
  std::unordered_map<uint32_t, std::string> names;
  std::unordered_map<std::string, uint32_t> indexes;

  uint32_t IndexOf(const std::string& device) const {
    const auto found = indexes.find(device);
    return found == indexes.end() ? 0 : found->second;
  }
};

Outcome ReadDevices(Socket* socket, int silence, Devices* devices) {
  Links links;
  Outcome outcome = ReadLinks(socket, silence, &links);
  for (const LinkRecord& link : links) {
    devices->names.emplace(link.index, link.device);
    devices->indexes.emplace(link.device, link.index);
  }
  return outcome;
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

bool ReadAddress(const Message& message, const Devices& devices, uint32_t wanted,
                 Records* addresses) {
  if (message.payload.size < sizeof(ifaddrmsg)) return false;
  const auto header = Load<ifaddrmsg>(message.payload.data);
  if (wanted != 0 && header.ifa_index != wanted) return true;
  const auto device = devices.names.find(header.ifa_index);
  // A device that appeared between the two dumps is as if it had appeared after them.
  if (device == devices.names.end()) return true;
  const size_t start = addresses->size();
  addresses->resize(start + kAddressTable.record_size, 0);
  FillFromHeader(header, device->second, addresses->data() + start);
  return netlink::Decode(kAddressTable, message.payload.From(netlink::Align(sizeof header)),
                         addresses->data() + start);
}

void WriteChange(const uint8_t* change, uint32_t index, RequestBatch* batch) {
  const auto kind = Load<uint32_t>(change + offsetof(ChangeHeader, kind));
  const bool add = kind != static_cast<uint32_t>(ChangeKind::kDelete);
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
  if (kind == static_cast<uint32_t>(ChangeKind::kAddDeprecated)) {
    ifa_cacheinfo lifetimes{};
    lifetimes.ifa_valid = kForever;  // and preferred for none of it
    writer.Attribute(IFA_CACHEINFO, lifetimes);
  }
  writer.End();
}

// Sends what fits into one batch; requests for unknown devices are answered here. The answer is
// what became of the exchange: the last outcome may be one of those, and say nothing of it.
Outcome ChangeChunk(Socket* socket, const uint8_t* changes, size_t count, const Devices& devices,
                    int silence, Outcome* outcomes) {
  RequestBatch batch(socket);
  std::vector<size_t> sent;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* change = changes + i * ChangeSize();
    const uint32_t index = devices.IndexOf(DeviceOf(change + sizeof(ChangeHeader)));
    if (index == 0) {
      outcomes[i] = Failure(Stage::kKernel, ENODEV);
      continue;
    }
    WriteChange(change, index, &batch);
    sent.push_back(i);
  }
  if (sent.empty()) return {};
  std::vector<Outcome> told;
  Outcome outcome = netlink::Exchange(socket, &batch, Deadline(silence), &told);
  for (size_t i = 0; i < sent.size(); ++i) outcomes[sent[i]] = told[i];
  return outcome;
}

}  // namespace

constexpr netlink::Table kAddressTable = {
    "address", kAddressRows, std::size(kAddressRows), sizeof(AddressRecord), sizeof(AddressRecord),
    0,         nullptr,
};

std::string DeviceOf(const uint8_t* record) {
  const auto* name = reinterpret_cast<const char*>(record + offsetof(AddressRecord, device));
  return {name, strnlen(name, sizeof(AddressRecord::device))};
}

Outcome ReadAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                      const std::string& device, int silence, Records* addresses) {
  Socket socket;
  Devices devices;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  if (outcome.ok()) outcome = ReadDevices(&socket, silence, &devices);
  if (!outcome.ok()) return outcome;
  const uint32_t wanted = device.empty() ? 0 : devices.IndexOf(device);
  if (!device.empty() && wanted == 0) return Failure(Stage::kKernel, ENODEV);
  const auto begin = [](MessageWriter* writer) {
    const ifaddrmsg header{};
    writer->Append(&header, sizeof header);
  };
  return DumpAll(
      &socket, silence, RTM_GETADDR, begin, [&] { addresses->clear(); },
      [&](const Message& message) { return ReadAddress(message, devices, wanted, addresses); });
}

void ChangeAddresses(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const Records& changes, int silence, std::vector<Outcome>* outcomes) {
  const size_t count = changes.size() / ChangeSize();
  outcomes->assign(count, Failure(Stage::kSend, ECANCELED));
  Socket socket;
  Devices devices;
  Outcome outcome = Socket::Open(NETLINK_ROUTE, where, &socket);
  if (outcome.ok()) outcome = ReadDevices(&socket, silence, &devices);
  if (!outcome.ok()) {
    outcomes->assign(count, BeforeChange(outcome));
    return;
  }
  for (size_t done = 0; done < count; done += kMessagesPerSend) {
    const size_t size = std::min(kMessagesPerSend, count - done);
    outcome = ChangeChunk(&socket, changes.data() + done * ChangeSize(), size, devices, silence,
                          outcomes->data() + done);
    if (outcome.stage == Stage::kReply) return;
  }
}

}  // namespace route
