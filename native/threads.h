// The threads that enter the kernel, of one environment: a few of our own, started when they are
// needed, so that neither libuv's pool waits for us nor we for it.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// What is to be done on a thread, and then on the main thread.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job(Job&&) = delete;
  Job& operator=(const Job&) = delete;
  Job& operator=(Job&&) = delete;
  virtual ~Job() = default;  // on the main thread

  virtual void Work() = 0;
  virtual void Finish(Napi::Env env) = 0;
};

class Threads {
 public:
  static Threads* Of(Napi::Env env);

  explicit Threads(Napi::Env env);
  Threads(const Threads&) = delete;
  Threads(Threads&&) = delete;
  Threads& operator=(const Threads&) = delete;
  Threads& operator=(Threads&&) = delete;
  ~Threads() = default;

  // The process lives on as long as a job has not finished. When there is no thread and none can be
  // started, answers the errno and leaves the job where it is.
  int Queue(std::unique_ptr<Job>* job);

 private:
  static void OnDone(napi_env env, napi_value unused, void* threads, void* data);
  static void OnEnvironmentEnd(void* threads);
  int Start();
  void Run();
  void FinishDone(Napi::Env env);

  Napi::Env env_;
  napi_threadsafe_function wake_ = nullptr;  // has OnDone() called on the main thread
  size_t unfinished_ = 0;                    // main thread only
  std::vector<std::thread> threads_;         // main thread only

  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::deque<std::unique_ptr<Job>> done_;
  size_t idle_ = 0;
  bool ending_ = false;
};
