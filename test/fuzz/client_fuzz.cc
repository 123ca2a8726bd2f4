// The whole client against replies of the fuzzer's choice: the first byte chooses the call.

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <numeric>

#include "channel.h"
#include "ipvs/client.h"
#include "kernel.h"

namespace {

// Where the destinations of a service begin is what JavaScript goes by.
void ReadColumns(bool wide, ipvs::Client* client) {
  ipvs::TableColumns columns(wide);
  if (!client->ReadColumns(wide, &columns).ok()) return;
  const std::vector<uint32_t>& first = columns.first_destination;
  const size_t count = columns.destinations.count();
  if (first.size() != columns.services.count() + 1 || first.back() != count) std::abort();
  if (!std::is_sorted(first.begin(), first.end())) std::abort();
  if (columns.owners.size() != count) std::abort();
}

// As a stream does.
void ReadPart(size_t enough, ipvs::Client* client) {
  ipvs::Records services;
  for (const uint32_t fwmark : {7U, 8U}) {
    const ipvs::Records key = model::MakeKey(fwmark);
    services.insert(services.end(), key.begin(), key.end());
    services.resize(services.size() + ipvs::kServiceTable.record_size - key.size());
  }
  ipvs::Snapshot part;
  if (!client->ReadPart(services, enough, &part).ok()) return;
  const size_t count = std::accumulate(part.counts.begin(), part.counts.end(), size_t{0});
  if (part.destinations.size() != count * ipvs::kDestinationTable.record_size) std::abort();
  if (part.counts.size() != 2 && count < enough) std::abort();
}

// One change twice, of any kind and command that JavaScript may hand over.
void Change(uint8_t which, ipvs::Client* client) {
  constexpr ipvs::Command kCommands[] = {ipvs::kNewService, ipvs::kNewDest,   ipvs::kDelService,
                                         ipvs::kDelDest,    ipvs::kNewDaemon, ipvs::kSetConfig,
                                         ipvs::kSetDest};
  const ipvs::Command command = kCommands[which / 3 % std::size(kCommands)];
  ipvs::Records operations = model::MakeOperation(command, 7);
  // The order matters to what is kept of earlier runs, which knew the first alone.
  netlink::Store<uint32_t>(&operations[offsetof(ipvs::OperationHeader, kind)], which % 3U);
  const ipvs::Records more = operations;
  operations.insert(operations.end(), more.begin(), more.end());
  std::vector<netlink::Outcome> outcomes;
  client->Apply(operations, &outcomes);
  if (outcomes.size() != 2) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const fuzz::Channel channel(data + 1, size - 1);
  ipvs::Client client(nullptr, 1000);
  ipvs::Records found;
  ipvs::Snapshot snapshot;
  std::vector<netlink::Outcome> outcomes;
  ipvs::Records operations;
  const ipvs::Records key = model::MakeKey(7);
  switch (data[0] % 12) {
    case 0:
      client.ReadServices(&found);
      break;
    case 1:
      client.ReadService(key, &found);
      break;
    case 2:
      client.ReadDestinations(key, &found);
      break;
    case 3:
      client.ReadAll((data[0] & 0x80) != 0, &snapshot);
      break;
    case 4:
      client.ReadConfig(&found);
      break;
    case 5:
      client.ReadDaemons(&found);
      break;
    case 6:
      client.ReadInfo(&found);
      break;
    case 7:  // a patch of the service
      operations = model::MakeOperation(ipvs::kSetService, 7);
      netlink::Store<uint32_t>(&operations[offsetof(ipvs::OperationHeader, kind)], 1);
      client.Apply(operations, &outcomes);
      break;
    case 8:  // the stop of a daemon, which is confirmed
      operations.assign(ipvs::OperationSize(), 0);
      netlink::Store<uint32_t>(operations.data(), ipvs::kDelDaemon);
      client.Apply(operations, &outcomes);
      break;
    case 9:
      ReadColumns((data[0] & 0x80) != 0, &client);
      break;
    case 10:
      ReadPart((data[0] & 0x80) != 0 ? 1 : SIZE_MAX, &client);
      break;
    default:
      Change(data[0] / 12, &client);
  }
  return 0;
}
