// The record boundary: whatever bytes JavaScript hands over as operations, the requests that are
// made of them are whole, and the same whether or not the one before was like them; and a patch
// stays within its record. The last operation's bytes are also what a patch is laid over.

#include <algorithm>
#include <cstdlib>

#include "ipvs/patch.h"
#include "walk.h"

namespace {

void Merge(const ipvs::Records& patch, const ipvs::Records& current) {
  ipvs::Records merged;
  const size_t service = ipvs::OperationServiceOffset();
  const size_t destination = ipvs::OperationDestinationOffset();
  const bool refused = !ipvs::MergeService(patch.data(), current.data() + service, &merged).ok();
  if (!refused && merged.size() != patch.size()) std::abort();
  ipvs::MergeDestination(patch.data(), current.data() + destination, &merged);
  if (merged.size() != patch.size()) std::abort();
}

void CompareWriters(uint16_t family, const ipvs::Records& operations, netlink::Bytes expected) {
  netlink::Socket unopened;
  netlink::RequestBatch batch(&unopened);
  ipvs::OperationWriter writer;
  for (size_t at = 0; at < operations.size(); at += ipvs::OperationSize()) {
    if (!writer.Write(family, operations.data() + at, &batch)) std::abort();
  }
  const netlink::Bytes found = batch.writer().bytes();
  if (!std::equal(found.data, found.data + found.size, expected.data,
                  expected.data + expected.size)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint16_t kFamily = 36;
  netlink::Socket unopened;
  netlink::RequestBatch batch(&unopened);
  ipvs::Records before;
  ipvs::Records all;
  for (size_t at = 0; at < size; at += ipvs::OperationSize()) {
    // Of exactly its size, so that a read one byte too far is seen.
    ipvs::Records operation(ipvs::OperationSize(), 0);
    std::copy_n(data + at, std::min(operation.size(), size - at), operation.begin());
    if (!ipvs::WriteOperation(kFamily, operation.data(), &batch)) return 0;
    if (!before.empty()) Merge(before, operation);
    before = operation;
    all.insert(all.end(), operation.begin(), operation.end());
  }
  CompareWriters(kFamily, all, batch.writer().bytes());
  netlink::MessageReader messages(batch.writer().bytes());
  netlink::Message message;
  size_t count = 0;
  while (messages.Next(&message)) {
    uint8_t command = 0;
    netlink::Bytes attributes;
    if (!netlink::ReadGeneric(message, &command, &attributes)) std::abort();
    // Timeouts have no nests.
    const uint16_t last_nest = command == ipvs::kSetConfig ? 0 : ipvs::kAttrDaemon;
    if (message.type != kFamily || !fuzz::IsWhole(attributes, last_nest)) std::abort();
    ++count;
  }
  const size_t expected = (size + ipvs::OperationSize() - 1) / ipvs::OperationSize();
  if (messages.malformed() || count != expected) std::abort();
  return 0;
}
