#include "threads.h"

#include <csignal>
#include <system_error>
#include <utility>

namespace {

// Each may be held up for a second by a kernel that loads a module. A process with one handle
// starts one or two.
constexpr size_t kMostThreads = 8;

}  // namespace

Threads* Threads::Of(Napi::Env env) {
  if (env.GetInstanceData<Threads>() == nullptr) {
    env.SetInstanceData(std::make_unique<Threads>(env).release());  // the environment deletes it
  }
  return env.GetInstanceData<Threads>();
}

Threads::Threads(Napi::Env env) : env_(env) {
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "ipvs-netlink"), 0,
                                  1, nullptr, nullptr, this, OnDone, &wake_);
  napi_unref_threadsafe_function(env, wake_);
  // The last hook runs first: ours before the one that ends `wake_`.
  napi_add_env_cleanup_hook(env, OnEnvironmentEnd, this);
}

int Threads::Queue(std::unique_ptr<Job>* job) {
  if (threads_.empty()) {
    const int error = Start();
    if (error != 0) return error;
  }
  if (unfinished_++ == 0) napi_ref_threadsafe_function(env_, wake_);
  bool is_enough = true;
  {
    const std::lock_guard<std::mutex> lock(lock_);
    waiting_.push_back(std::move(*job));
    is_enough = waiting_.size() <= idle_;
  }
  // Where no further one can be started, those that there are do it when they can.
  if (!is_enough && threads_.size() < kMostThreads && Start() == 0) return 0;
  changed_.notify_one();
  return 0;
}

int Threads::Start() {
  // Signals are for the threads that the process knows of. On Linux the mask is the calling
  // thread's; pthread_sigmask() would ask for a newer glibc than the binaries that we ship may.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  int error = 0;
  try {
    threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return error;
}

void Threads::Run() {
  std::unique_lock<std::mutex> lock(lock_);
  ++idle_;
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (ending_) return;
    std::unique_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job->Work();
    lock.lock();
    done_.push_back(std::move(job));
    // Before the main thread is awake: for its next job it is to find this thread, not to start
    // one.
    ++idle_;
    lock.unlock();
    // Without the lock, for which it would wait at once.
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
    lock.lock();
  }
}

void Threads::OnDone(napi_env env, napi_value /*unused*/, void* threads, void* /*data*/) {
  // Without an environment it has ended, and the jobs with it.
  if (env != nullptr) static_cast<Threads*>(threads)->FinishDone(Napi::Env(env));
}

void Threads::FinishDone(Napi::Env env) {
  std::deque<std::unique_ptr<Job>> done;
  {
    const std::lock_guard<std::mutex> lock(lock_);
    done.swap(done_);
  }
  unfinished_ -= done.size();
  if (!done.empty() && unfinished_ == 0) napi_unref_threadsafe_function(env, wake_);
  for (const std::unique_ptr<Job>& job : done) {
    try {
      job->Finish(env);
    } catch (const Napi::Error& error) {
      // A worker_thread that is being terminated refuses every call, this one too.
      error.ThrowAsJavaScriptException();
    }
  }
}

// What is in the kernel is waited for, as libuv's pool would be; what is not is dropped.
void Threads::OnEnvironmentEnd(void* threads) {
  auto* self = static_cast<Threads*>(threads);
  {
    const std::lock_guard<std::mutex> lock(self->lock_);
    self->ending_ = true;
  }
  self->changed_.notify_all();
  for (std::thread& thread : self->threads_) thread.join();
  self->waiting_.clear();
  self->done_.clear();
}
