// The core without JavaScript: what a hostile or cut reply does to the readers. Meant to run under
// ASan and UBSan; exits non-zero at the first difference.

#include "ipvs/codec.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "ipvs/identity.h"
#include "ipvs/patch.h"

namespace {

using netlink::Bytes;
using netlink::Load;
using netlink::Message;
using netlink::MessageReader;
using netlink::MessageWriter;
using netlink::Store;

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

std::vector<uint8_t> ServiceReply() {
  MessageWriter writer;
  writer.Begin(36, NLM_F_MULTI, 7);
  genlmsghdr header{};
  header.cmd = ipvs::kNewService;
  writer.Append(&header, sizeof header);
  const size_t nest = writer.BeginNest(ipvs::kAttrService);
  writer.Attribute(1, uint16_t{2});
  writer.Attribute(2, uint16_t{6});
  writer.Attribute(3, uint32_t{0x0100000a});
  writer.Attribute(4, uint16_t{0x5000});
  writer.Attribute(6, "wlc", 4);
  writer.Attribute(99, uint64_t{1});  // of a newer kernel
  const size_t counters = writer.BeginNest(12);
  writer.Attribute(1, uint64_t{1} << 40);
  writer.EndNest(counters);
  const size_t old_counters = writer.BeginNest(10);
  writer.Attribute(1, uint32_t{5});
  writer.EndNest(old_counters);
  writer.EndNest(nest);
  writer.End();
  return Cut(writer.bytes(), writer.bytes().size);
}

bool ReadAll(const std::vector<uint8_t>& datagram, ipvs::Records* records) {
  MessageReader messages({datagram.data(), datagram.size()});
  Message message;
  while (messages.Next(&message)) {
    if (!ipvs::ReadRecord(ipvs::kServiceTable, ipvs::kAttrService, message, records)) return false;
  }
  return !messages.malformed();
}

void TestWholeReply() {
  ipvs::Records records;
  Check(ReadAll(ServiceReply(), &records), "a whole reply is read");
  Check(records.size() == ipvs::kServiceTable.record_size, "it has one record");
  ipvs::ServiceRecord record{};
  std::memcpy(&record, records.data(), sizeof record);
  Check(record.family == 2 && record.protocol == 6, "numbers");
  Check(record.port == 80, "a port in network order");
  Check(std::string(record.scheduler) == "wlc", "a text");
  Check(record.counters.connections == uint64_t{1} << 40,
        "64-bit counters win over later 32-bit ones");
}

void TestCutReplies() {
  const std::vector<uint8_t> whole = ServiceReply();
  for (size_t size = 1; size < whole.size(); ++size) {
    ipvs::Records records;
    Check(!ReadAll(Cut({whole.data(), whole.size()}, size), &records), "a cut reply is refused");
  }
}

void TestFlippedReplies() {
  const std::vector<uint8_t> whole = ServiceReply();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int bits : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> flipped = Cut({whole.data(), whole.size()}, whole.size());
      flipped[at] = static_cast<uint8_t>(flipped[at] ^ bits);
      ipvs::Records records;
      ReadAll(flipped, &records);  // any answer, but nothing outside of the bytes
    }
  }
}

size_t WidthOf(netlink::Wire wire) {
  switch (wire) {
    case netlink::Wire::kU8:
      return 1;
    case netlink::Wire::kU16:
    case netlink::Wire::kBe16:
      return 2;
    case netlink::Wire::kU32:
    case netlink::Wire::kRaw32:
    case netlink::Wire::kCounter:
      return 4;
    case netlink::Wire::kFlags:
      return 8;
    default:
      return 0;
  }
}

// The kernel's own rule for integers: at least the width of their type.
void TestShortNumbers() {
  for (const netlink::Table* table :
       {&ipvs::kServiceTable, &ipvs::kDestinationTable, &ipvs::kDaemonTable}) {
    for (size_t row = 0; row < table->count; ++row) {
      const size_t width = WidthOf(table->rows[row].wire);
      for (size_t size = 0; size <= width; ++size) {
        std::vector<uint8_t> attribute(sizeof(nlattr) + size, 1);
        Store(attribute.data(), static_cast<uint16_t>(attribute.size()));
        Store(attribute.data() + offsetof(nlattr, nla_type), table->rows[row].id);
        attribute.shrink_to_fit();
        std::vector<uint8_t> record(table->record_size, 0);
        netlink::Decoder decoder(*table);
        const bool is_read = decoder.Decode({attribute.data(), attribute.size()}, record.data());
        if (width > 0) Check(is_read == (size == width), "a number that is cut short is refused");
      }
    }
  }
}

// What a decoder has learned of one message must not make it read another one differently.
void TestReadAfterAnother() {
  const std::vector<uint8_t> whole = ServiceReply();
  constexpr size_t kHeaders = sizeof(nlmsghdr) + sizeof(genlmsghdr) + sizeof(nlattr);
  const Bytes attributes{whole.data() + kHeaders, whole.size() - kHeaders};
  const auto compare = [&](const std::vector<uint8_t>& other) {
    netlink::Decoder fresh(ipvs::kServiceTable);
    netlink::Decoder learned(ipvs::kServiceTable);
    ipvs::ServiceRecord expected{};
    ipvs::ServiceRecord found{};
    ipvs::ServiceRecord before{};
    Check(learned.Decode(attributes, reinterpret_cast<uint8_t*>(&before)), "a whole one is read");
    const bool is_read =
        fresh.Decode({other.data(), other.size()}, reinterpret_cast<uint8_t*>(&expected));
    Check(
        learned.Decode({other.data(), other.size()}, reinterpret_cast<uint8_t*>(&found)) == is_read,
        "it is refused by both or by none");
    Check(!is_read || std::memcmp(&found, &expected, sizeof found) == 0, "and read alike");
  };
  for (size_t size = 0; size < attributes.size; ++size) compare(Cut(attributes, size));
  for (size_t at = 0; at < attributes.size; ++at) {
    std::vector<uint8_t> flipped = Cut(attributes, attributes.size);
    flipped[at] = static_cast<uint8_t>(flipped[at] ^ 0x01);
    compare(flipped);
  }
}

// Bits of observed rows must not make a request read beyond its own part of the memory.
void TestRequestStopsAtItsEnd() {
  std::vector<uint8_t> operation(ipvs::OperationSize(), 0);
  Store<uint32_t>(operation.data(), ipvs::kSetDest);
  Store<uint32_t>(&operation[ipvs::OperationDestinationOffset()], ~uint32_t{0});
  netlink::Socket unopened;
  netlink::RequestBatch batch(&unopened);
  Check(ipvs::WriteOperation(36, operation.data(), &batch), "the operation is written");
  Check(batch.writer().bytes().size < 256, "without what is only observed");
}

ipvs::Records Change(uint32_t command, int family, uint8_t number) {
  ipvs::Records operation(ipvs::OperationSize(), 0);
  Store<uint32_t>(operation.data(), command);
  for (const size_t record : {ipvs::OperationServiceOffset(), ipvs::OperationDestinationOffset()}) {
    Store<uint32_t>(&operation[record], command == ipvs::kNewService ? 0x3fU : 0x0fU);
    Store<uint32_t>(&operation[record + offsetof(ipvs::ServiceRecord, family)],
                    static_cast<uint32_t>(family));
    for (size_t at = record + 8; at < record + 32; ++at) operation[at] = number;
  }
  return operation;
}

// A message that was copied from the one before says the same as one that was not.
void TestCopiedMessages() {
  netlink::Socket first;
  netlink::Socket second;
  netlink::RequestBatch alone(&first);
  netlink::RequestBatch together(&second);
  ipvs::OperationWriter writer;
  ipvs::Records operations;
  uint8_t number = 1;
  for (const uint32_t command : {ipvs::kSetDest, ipvs::kNewService, ipvs::kSetDest}) {
    for (const int family : {AF_INET, AF_INET, AF_INET6, AF_INET6, AF_INET}) {
      const ipvs::Records operation = Change(command, family, number++);
      operations.insert(operations.end(), operation.begin(), operation.end());
    }
  }
  for (size_t at = 0; at < operations.size(); at += ipvs::OperationSize()) {
    Check(ipvs::WriteOperation(36, &operations[at], &alone), "the operation is written");
    Check(writer.Write(36, &operations[at], &together), "the operation is written with others");
  }
  const netlink::Bytes expected = alone.writer().bytes();
  const netlink::Bytes found = together.writer().bytes();
  Check(Cut(expected, expected.size) == Cut(found, found.size), "both are the same");
}

void TestDuplicatesGo() {
  ipvs::Records records;
  ReadAll(ServiceReply(), &records);
  ReadAll(ServiceReply(), &records);
  ipvs::DropDuplicates(ipvs::kServiceTable, 0, &records);
  Check(records.size() == ipvs::kServiceTable.record_size, "an entry that came twice stays once");
}

// A GET_DEST reply as kernels before 3.18 have it, without IPVS_DEST_ATTR_ADDR_FAMILY, or as later
// ones have it.
std::vector<uint8_t> DestinationReply(uint32_t address, uint16_t family) {
  MessageWriter writer;
  writer.Begin(36, NLM_F_MULTI, 7);
  genlmsghdr header{};
  header.cmd = ipvs::kNewDest;
  writer.Append(&header, sizeof header);
  const size_t nest = writer.BeginNest(ipvs::kAttrDest);
  const uint32_t bytes[4] = {address, 0, 0, 0};
  writer.Attribute(1, bytes, sizeof bytes);
  writer.Attribute(2, uint16_t{0x5000});
  writer.Attribute(3, uint32_t{2});
  writer.Attribute(4, uint32_t{9});
  for (uint16_t counter = 5; counter <= 9; ++counter) writer.Attribute(counter, uint32_t{counter});
  if (family != AF_UNSPEC) writer.Attribute(11, family);
  writer.EndNest(nest);
  writer.End();
  return Cut(writer.bytes(), writer.bytes().size);
}

// A destination without a family is of its service's; a zero tail of an IPv6 address, as in 2001::,
// makes it no IPv4 address.
void TestFamilyOfOldKernels() {
  constexpr uint32_t k2001 = 0x00000120;  // as it lies in memory: 20 01 00 00
  for (const uint32_t family : {uint32_t{AF_INET}, uint32_t{AF_INET6}}) {
    const uint32_t other = family == AF_INET ? AF_INET6 : AF_INET;
    ipvs::Records found(ipvs::kDestinationTable.record_size, 0);  // what was read before
    const size_t start = found.size();
    for (const auto named : {uint32_t{AF_UNSPEC}, other, family}) {
      const std::vector<uint8_t> bytes = DestinationReply(k2001, static_cast<uint16_t>(named));
      MessageReader messages({bytes.data(), bytes.size()});
      Message message;
      Check(messages.Next(&message), "a message");
      Check(ipvs::ReadRecord(ipvs::kDestinationTable, ipvs::kAttrDest, message, &found), "is read");
    }
    ipvs::ServiceRecord service{};
    service.family = family;
    uint8_t key[sizeof service];
    std::memcpy(key, &service, sizeof service);
    ipvs::InheritFamily(key, start, &found);
    const uint32_t expected[] = {0, family, other, family};
    for (size_t i = 0; i < std::size(expected); ++i) {
      ipvs::DestinationRecord record{};
      std::memcpy(&record, &found[i * ipvs::kDestinationTable.record_size], sizeof record);
      Check(record.family == expected[i], "the family");
      Check(((record.present & ipvs::kDestinationFamilyRow) != 0) == (i > 0), "and its mark");
      if (i > 0) Check(record.port == 80 && record.weight == 9, "and the rest as it was");
    }
    const size_t size = ipvs::kDestinationTable.record_size;
    Check(ipvs::IdentityOf(ipvs::kDestinationTable, &found[size]) ==
              ipvs::IdentityOf(ipvs::kDestinationTable, &found[3 * size]),
          "it is found by its key");
  }
}

void TestPatchKeepsTheRest() {
  ipvs::Records current;
  ReadAll(ServiceReply(), &current);
  std::vector<uint8_t> patch(ipvs::OperationSize(), 0);
  Store<uint32_t>(patch.data(), ipvs::kSetService);
  Store<uint32_t>(&patch[offsetof(ipvs::OperationHeader, kind)], 1);
  uint8_t* service = &patch[ipvs::OperationServiceOffset()];
  Store<uint32_t>(service, ipvs::kTimeoutRow);
  Store<uint32_t>(service + offsetof(ipvs::ServiceRecord, timeout), 99);
  ipvs::Records merged;
  Check(ipvs::MergeService(patch.data(), current.data(), &merged).ok(), "the patch is merged");
  const uint8_t* result = &merged[ipvs::OperationServiceOffset()];
  Check(Load<uint32_t>(result + offsetof(ipvs::ServiceRecord, timeout)) == 99, "what is named");
  Check(Load<uint32_t>(result + offsetof(ipvs::ServiceRecord, port)) == 80, "and all else");
  Check(Load<uint32_t>(&merged[offsetof(ipvs::OperationHeader, kind)]) == 0, "no patch any more");
}

}  // namespace

int main() {
  TestWholeReply();
  TestCutReplies();
  TestFlippedReplies();
  TestShortNumbers();
  TestReadAfterAnother();
  TestRequestStopsAtItsEnd();
  TestCopiedMessages();
  TestDuplicatesGo();
  TestFamilyOfOldKernels();
  TestPatchKeepsTheRest();
}
