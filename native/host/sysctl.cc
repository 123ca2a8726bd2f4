#include "host/sysctl.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "netlink/descriptor.h"

namespace host {

namespace {

using netlink::Descriptor;
using netlink::Failure;
using netlink::Outcome;
using netlink::Stage;

constexpr char kFolder[] = "/proc/sys/net";

// JavaScript checked the name already; this is the last door.
bool IsSegment(const std::string& segment) {
  return !segment.empty() && segment != "." && segment != ".." &&
         segment.find('\0') == std::string::npos;
}

// Whether it is the kernel's, and not something that was mounted there.
bool IsProc(const Descriptor& file) {
  struct statfs system = {};
  return fstatfs(file.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// Folder by folder, because O_NOFOLLOW speaks of the last name of a path alone.
Outcome OpenSetting(const std::string& name, int flags, Descriptor* opened) {
  constexpr int kFolderFlags = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  Descriptor folder(open(kFolder, kFolderFlags));
  size_t start = 0;
  for (;;) {
    if (!folder.valid()) return Failure(Stage::kKernel, errno);
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string segment = name.substr(start, end - start);
    if (!IsSegment(segment)) return Failure(Stage::kSend, EINVAL);
    const bool is_last = end == name.size();
    const int how = is_last ? flags | O_CLOEXEC | O_NOFOLLOW : kFolderFlags;
    folder = Descriptor(openat(folder.get(), segment.c_str(), how));
    if (is_last) break;
    start = end + 1;
  }
  if (!folder.valid()) return Failure(Stage::kKernel, errno);
  if (!IsProc(folder)) return Failure(Stage::kKernel, ENOENT);
  *opened = std::move(folder);
  return {};
}

Outcome ReadWhole(const Descriptor& file, std::string* value) {
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failure(Stage::kKernel, errno);
    if (size == 0) return {};
    value->append(buffer, static_cast<size_t>(size));
  }
}

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\n") == std::string::npos;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

}  // namespace

Outcome ReadSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                    const std::string& name, std::string* value) {
  return netlink::RunInNamespace(where, [&] {
    Descriptor file;
    const Outcome outcome = OpenSetting(name, O_RDONLY, &file);
    return outcome.ok() ? ReadWhole(file, value) : outcome;
  });
}

Outcome ReadSettings(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const std::string& folder, Settings* settings) {
  return netlink::RunInNamespace(where, [&] {
    Descriptor opened;
    Outcome outcome = OpenSetting(folder, O_RDONLY | O_DIRECTORY, &opened);
    if (!outcome.ok()) return outcome;
    const int copy = fcntl(opened.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return Failure(Stage::kKernel, errno);
    const std::unique_ptr<DIR, CloseFolder> entries(fdopendir(copy));
    if (!entries) return Failure(Stage::kKernel, errno);
    while (const dirent* entry = readdir(entries.get())) {
      if (entry->d_type != DT_REG) continue;
      const Descriptor file(openat(opened.get(), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
      // Some can be written only, and one may have gone since.
      const bool is_closed = !file.valid() && (errno == EACCES || errno == ENOENT);
      if (!file.valid() && !is_closed) return Failure(Stage::kKernel, errno);
      std::string value;
      if (is_closed || !ReadWhole(file, &value).ok()) continue;
      settings->emplace_back(entry->d_name, std::move(value));
    }
    return Outcome{};
  });
}

Outcome WriteSetting(const std::shared_ptr<netlink::NetworkNamespace>& where,
                     const std::string& name, const std::string& value) {
  return netlink::RunInNamespace(where, [&] {
    Descriptor file;
    Outcome outcome = OpenSetting(name, O_WRONLY, &file);
    if (!outcome.ok()) return outcome;
    // The kernel takes a setting from one write; a second would be another setting.
    for (;;) {
      const ssize_t size = write(file.get(), value.data(), value.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Failure(Stage::kKernel, errno);
      const bool is_whole = IsBlank(value.substr(static_cast<size_t>(size)));
      return is_whole ? Outcome{} : Failure(Stage::kKernel, E2BIG);
    }
  });
}

}  // namespace host
