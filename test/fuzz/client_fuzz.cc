// The whole client against replies of the fuzzer's choice: the first byte chooses the call.

#include "channel.h"
#include "ipvs/client.h"
#include "kernel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const fuzz::Channel channel(data + 1, size - 1);
  ipvs::Client client(nullptr, 1000);
  ipvs::Records found;
  ipvs::Snapshot snapshot;
  std::vector<netlink::Outcome> outcomes;
  ipvs::Records operations = model::MakeOperation(ipvs::kNewService, 7);
  const ipvs::Records key = model::MakeKey(7);
  switch (data[0] % 10) {
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
    default: {
      const ipvs::Records more = operations;
      operations.insert(operations.end(), more.begin(), more.end());
      client.Apply(operations, &outcomes);
    }
  }
  return 0;
}
