// The nests of IPVS: the first byte chooses the table, the rest is a datagram. Whether a message is
// read by the layout of the one before or by its own must make no difference.

#include <cstdlib>
#include <iterator>

#include "ipvs/codec.h"
#include "ipvs/identity.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr struct {
    const netlink::Table& table;
    uint16_t top;
  } kTables[] = {
      {ipvs::kServiceTable, ipvs::kAttrService},
      {ipvs::kDestinationTable, ipvs::kAttrDest},
      {ipvs::kDaemonTable, ipvs::kAttrDaemon},
      {ipvs::kConfigTable, 0},
      {ipvs::kInfoTable, 0},
  };
  if (size == 0) return 0;
  const auto& [table, top] = kTables[data[0] % std::size(kTables)];
  netlink::MessageReader messages({data + 1, size - 1});
  netlink::Message message;
  netlink::Decoder decoder(table);
  ipvs::Records records;
  ipvs::Records alike;
  size_t read = 0;
  while (messages.Next(&message)) {
    if (ipvs::ReadRecord(table, top, message, &records)) ++read;
    ipvs::ReadRecord(&decoder, top, message, &alike);
  }
  if (alike != records) std::abort();
  if (records.size() != read * table.record_size) std::abort();
  if (table.identity_end > 0) ipvs::DropDuplicates(table, 0, &records);
  return 0;
}
