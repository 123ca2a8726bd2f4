#include "kernel.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <cerrno>

namespace model {

namespace {

using netlink::AttributeReader;
using netlink::AttributeView;
using netlink::Load;
using netlink::Message;
using netlink::MessageReader;
using netlink::MessageWriter;
using netlink::Store;

constexpr uint16_t kFwmarkAttribute = 5;  // IPVS_SVC_ATTR_FWMARK

uint8_t CommandOf(const Message& message) {
  return message.payload.size < sizeof(genlmsghdr) ? 0 : message.payload.data[0];
}

uint32_t FwmarkOf(const Message& message) {
  AttributeReader top(message.payload.From(sizeof(genlmsghdr)));
  AttributeView nest;
  uint32_t fwmark = 0;
  while (top.Next(&nest)) {
    if (nest.type != ipvs::kAttrService) continue;
    AttributeReader service(nest.payload);
    AttributeView attribute;
    while (service.Next(&attribute)) {
      if (attribute.type == kFwmarkAttribute) fwmark = Load<uint32_t>(attribute.payload.data);
    }
  }
  return fwmark;
}

void WriteGeneric(MessageWriter* writer, uint8_t command) {
  genlmsghdr header{};
  header.cmd = command;
  header.version = 1;
  writer->Append(&header, sizeof header);
}

void MarkService(uint8_t* record, uint32_t fwmark) {
  // The rows of family and fwmark are the first and the fifth of the table.
  Store<uint32_t>(record, 1U << 0 | 1U << 4);
  Store<uint32_t>(record + offsetof(ipvs::ServiceRecord, family), 2);
  Store<uint32_t>(record + offsetof(ipvs::ServiceRecord, fwmark), fwmark);
}

}  // namespace

Reply MakeReply(uint16_t type, uint16_t flags, uint32_t sequence,
                const std::function<void(MessageWriter*)>& write) {
  MessageWriter writer;
  writer.Begin(type, flags, sequence);
  write(&writer);
  writer.End();
  const Bytes bytes = writer.bytes();
  return {{bytes.data, bytes.data + bytes.size}};
}

Reply MakeVerdict(uint32_t sequence, int error) {
  return MakeReply(NLMSG_ERROR, NLM_F_CAPPED, sequence, [&](MessageWriter* writer) {
    const int32_t negative = -error;
    const nlmsghdr request{};
    writer->Append(&negative, sizeof negative);
    writer->Append(&request, sizeof request);
  });
}

Reply MakeService(uint16_t family, uint16_t flags, uint32_t sequence, uint32_t fwmark) {
  return MakeReply(family, flags, sequence, [&](MessageWriter* writer) {
    WriteGeneric(writer, ipvs::kNewService);
    const size_t nest = writer->BeginNest(ipvs::kAttrService);
    writer->Attribute(1, uint16_t{2});
    writer->Attribute(kFwmarkAttribute, fwmark);
    writer->Attribute(6, "wlc", 4);
    writer->EndNest(nest);
  });
}

Reply MakeDaemon(uint16_t family, uint32_t sequence, uint32_t state) {
  return MakeReply(family, NLM_F_MULTI, sequence, [&](MessageWriter* writer) {
    WriteGeneric(writer, ipvs::kNewDaemon);
    const size_t nest = writer->BeginNest(ipvs::kAttrDaemon);
    writer->Attribute(1, state);
    writer->EndNest(nest);
  });
}

Reply MakeDone(uint32_t sequence, uint16_t flags, int error) {
  return MakeReply(NLMSG_DONE, static_cast<uint16_t>(NLM_F_MULTI | flags), sequence,
                   [&](MessageWriter* writer) {
                     const int32_t negative = -error;
                     writer->Append(&negative, sizeof negative);
                   });
}

ipvs::Records MakeOperation(ipvs::Command command, uint32_t fwmark) {
  ipvs::Records operation(ipvs::OperationSize(), 0);
  Store<uint32_t>(operation.data(), command);
  MarkService(&operation[ipvs::OperationServiceOffset()], fwmark);
  return operation;
}

ipvs::Records MakeKey(uint32_t fwmark) {
  ipvs::Records key(ipvs::kServiceTable.config_size, 0);
  MarkService(key.data(), fwmark);
  return key;
}

peer::Script Kernel::script() {
  peer::Script script;
  script.answer = [this](Bytes sent, std::vector<Reply>* replies) { return Answer(sent, replies); };
  return script;
}

int Kernel::Answer(Bytes sent, std::vector<Reply>* replies) {
  const int failure = fail_send();
  if (failure != 0) return failure;
  MessageReader messages(sent);
  Message message;
  bool only_family = true;
  while (messages.Next(&message)) {
    only_family = only_family && message.type == GENL_ID_CTRL;
    AnswerOne(message, replies);
  }
  if (!only_family) spoil(replies);
  return 0;
}

void Kernel::AnswerOne(const Message& message, std::vector<Reply>* replies) {
  if (message.type == GENL_ID_CTRL) return AnswerFamily(message, replies);
  if (message.type != family) return replies->push_back(MakeVerdict(message.sequence, ENOENT));
  if ((message.flags & NLM_F_DUMP) == NLM_F_DUMP) return AnswerDump(message, replies);
  const int error = Execute(message, replies);
  // -EINTR of a stopped daemon is the one verdict that never arrives.
  if (error == EINTR) return;
  if (error != 0 || (message.flags & NLM_F_ACK) != 0) {
    replies->push_back(MakeVerdict(message.sequence, error));
  }
}

void Kernel::AnswerFamily(const Message& message, std::vector<Reply>* replies) const {
  if (family == 0) return replies->push_back(MakeVerdict(message.sequence, ENOENT));
  replies->push_back(MakeReply(GENL_ID_CTRL, 0, message.sequence, [this](MessageWriter* writer) {
    WriteGeneric(writer, CTRL_CMD_NEWFAMILY);
    writer->Attribute(CTRL_ATTR_FAMILY_ID, family);
  }));
  replies->push_back(MakeVerdict(message.sequence, 0));
}

void Kernel::AnswerDump(const Message& message, std::vector<Reply>* replies) const {
  if (CommandOf(message) == ipvs::kGetService) {
    for (const auto& [fwmark, present] : services) {
      if (present) replies->push_back(MakeService(family, NLM_F_MULTI, message.sequence, fwmark));
    }
  }
  if (CommandOf(message) == ipvs::kGetDaemon) {
    for (const uint32_t state : daemons) {
      replies->push_back(MakeDaemon(family, message.sequence, state));
    }
  }
  replies->push_back(MakeDone(message.sequence));
}

int Kernel::Execute(const Message& message, std::vector<Reply>* replies) {
  const uint8_t command = CommandOf(message);
  const uint32_t fwmark = FwmarkOf(message);
  const bool known = services[fwmark];
  if (command == ipvs::kGetService) {
    if (!known) return ESRCH;
    replies->push_back(MakeService(family, 0, message.sequence, fwmark));
    return 0;
  }
  if (command == ipvs::kGetInfo) {
    replies->push_back(MakeReply(family, 0, message.sequence, [](MessageWriter* writer) {
      WriteGeneric(writer, 14);
      writer->Attribute(1, uint32_t{0x10201});
      writer->Attribute(2, uint32_t{4096});
    }));
    return 0;
  }
  int error = refuse(fwmark);
  if (error == 0) error = Change(command, fwmark);
  executed.push_back({fwmark, error, command});
  return error;
}

// What is there is not added, and what is not there is neither edited nor deleted.
int Kernel::Change(uint8_t command, uint32_t fwmark) {
  const bool of_service = command <= ipvs::kDelService;
  if (!of_service && (command < ipvs::kNewDest || command > ipvs::kDelDest)) return 0;
  bool& is_there = (of_service ? services : destinations)[fwmark];
  const bool is_new = command == ipvs::kNewService || command == ipvs::kNewDest;
  if (is_new && is_there) return EEXIST;
  if (!is_new && !is_there) return of_service ? ESRCH : ENOENT;
  is_there = command != ipvs::kDelService && command != ipvs::kDelDest;
  return 0;
}

}  // namespace model
