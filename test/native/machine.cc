#include "machine.h"

#include <arpa/inet.h>
#include <linux/fou.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "kernel.h"

namespace model {

namespace {

using netlink::AttributeReader;
using netlink::AttributeView;
using netlink::Load;
using netlink::Message;
using netlink::MessageReader;
using netlink::MessageWriter;

Bytes Find(Bytes attributes, uint16_t type) {
  AttributeReader reader(attributes);
  AttributeView attribute;
  Bytes found{};
  while (reader.Next(&attribute)) {
    if (attribute.type == type) found = attribute.payload;
  }
  return found;
}

Bytes FindGeneric(const Message& message, uint16_t type) {
  return Find(message.payload.From(sizeof(genlmsghdr)), type);
}

uint8_t CommandOf(const Message& message) {
  return message.payload.data[offsetof(genlmsghdr, cmd)];
}

// RTM_NEWLINK has the controller's number, but begins with a zero.
bool AsksForFamily(const Message& message) {
  return message.type == GENL_ID_CTRL && CommandOf(message) == CTRL_CMD_GETFAMILY;
}

uint16_t PortOf(const Message& message) {
  return ntohs(Load<uint16_t>(FindGeneric(message, FOU_ATTR_PORT).data));
}

void WriteCommand(MessageWriter* writer, uint8_t command) {
  genlmsghdr header{};
  header.cmd = command;
  header.version = 1;
  writer->Append(&header, sizeof header);
}

Reply MakeLink(uint32_t sequence, uint32_t index, const std::string& name) {
  return MakeReply(RTM_NEWLINK, NLM_F_MULTI, sequence, [&](MessageWriter* writer) {
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(index);
    header.ifi_type = name == "lo" ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
    writer->Append(&header, sizeof header);
    writer->Attribute(IFLA_IFNAME, name.c_str(), name.size() + 1);
    const uint8_t hardware[6] = {2, 0, 0, 0, 0, 1};
    writer->Attribute(IFLA_ADDRESS, hardware, sizeof hardware);
  });
}

Reply MakeAddress(uint32_t sequence, uint32_t address) {
  return MakeReply(RTM_NEWADDR, NLM_F_MULTI, sequence, [&](MessageWriter* writer) {
    ifaddrmsg header{};
    header.ifa_family = AF_INET;
    header.ifa_prefixlen = 32;
    header.ifa_index = 2;
    writer->Append(&header, sizeof header);
    writer->Attribute(IFA_LOCAL, address);
  });
}

}  // namespace

peer::Script Machine::script() {
  peer::Script script;
  script.answer = [this](Bytes sent, std::vector<Reply>* replies) { return Answer(sent, replies); };
  script.transmit = [this](Bytes frame) {
    transmitted.push_back(frame.size);
    return 0;
  };
  return script;
}

// All requests of one send are changes, or it is one that only asks.
int Machine::Answer(Bytes sent, std::vector<Reply>* replies) {
  MessageReader messages(sent);
  Message message;
  bool is_change = false;
  for (bool first = true; messages.Next(&message); first = false) {
    is_change = IsChange(message);
    const int failure = first ? fail_send(is_change) : 0;
    if (failure != 0) return failure;
    if (is_change) {
      Change(message, replies);
    } else {
      Read(message, replies);
    }
  }
  if (is_change) {
    spoil_changes(replies);
  } else {
    spoil_reading(readings++, replies);
  }
  return 0;
}

bool Machine::IsChange(const Message& message) const {
  if (AsksForFamily(message)) return false;
  if (message.type == fou) return CommandOf(message) != FOU_CMD_GET;
  return message.type != RTM_GETLINK && message.type != RTM_GETADDR;
}

void Machine::Read(const Message& message, std::vector<Reply>* replies) {
  const uint32_t sequence = message.sequence;
  if (AsksForFamily(message)) return ReadFamily(message, replies);
  if (message.type == fou) return ReadFou(message, replies);
  if (message.type == RTM_GETLINK) {
    for (size_t i = 0; i < devices.size(); ++i) {
      replies->push_back(MakeLink(sequence, static_cast<uint32_t>(i + 1), devices[i]));
    }
  } else {
    for (const uint32_t each : addresses) replies->push_back(MakeAddress(sequence, each));
  }
  replies->push_back(MakeDone(sequence));
}

void Machine::ReadFamily(const Message& message, std::vector<Reply>* replies) const {
  if (fou == 0) return replies->push_back(MakeVerdict(message.sequence, ENOENT));
  replies->push_back(MakeReply(GENL_ID_CTRL, 0, message.sequence, [this](MessageWriter* writer) {
    WriteCommand(writer, CTRL_CMD_NEWFAMILY);
    writer->Attribute(CTRL_ATTR_FAMILY_ID, fou);
  }));
  replies->push_back(MakeVerdict(message.sequence, 0));
}

void Machine::ReadFou(const Message& message, std::vector<Reply>* replies) const {
  const uint16_t port = PortOf(message);
  if (ports.count(port) == 0) return replies->push_back(MakeVerdict(message.sequence, ESRCH));
  replies->push_back(MakeReply(fou, 0, message.sequence, [port](MessageWriter* writer) {
    WriteCommand(writer, FOU_CMD_GET);
    writer->Attribute(FOU_ATTR_PORT, htons(port));
    writer->Attribute(FOU_ATTR_TYPE, uint8_t{FOU_ENCAP_GUE});
  }));
  replies->push_back(MakeVerdict(message.sequence, 0));
}

void Machine::Change(const Message& message, std::vector<Reply>* replies) {
  const int error = refuse(executed.size());
  executed.push_back(message.type);
  if (error == 0) CarryOut(message);
  if (error != 0 || (message.flags & NLM_F_ACK) != 0) {
    replies->push_back(MakeVerdict(message.sequence, error));
  }
}

void Machine::CarryOut(const Message& message) {
  if (message.type == RTM_NEWADDR) {
    const Bytes local = Find(message.payload.From(sizeof(ifaddrmsg)), IFA_LOCAL);
    if (local.size == sizeof(uint32_t)) addresses.push_back(Load<uint32_t>(local.data));
  } else if (message.type == fou && CommandOf(message) == FOU_CMD_ADD) {
    ports.insert(PortOf(message));
  } else if (message.type == fou) {
    ports.erase(PortOf(message));
  }
}

}  // namespace model
