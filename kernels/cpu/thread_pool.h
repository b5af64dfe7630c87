// Threads that sleep until there is work, and then take pieces of it from a counter.
//
//     run(n, work):   caller ─┬─ work(0, piece 0) … work(0, piece 3) … ─┐
//                    thread 1 ├─ work(1, piece 1) …                      ├─ returns when all n are done
//                    thread 2 └─ work(2, piece 2) …                     ─┘
//
// The caller is worker 0. Nothing spins: whoever waits does so on a condition variable. Threads inherit the affinity of
// the thread that makes the pool. A forked child has no threads but its own: there the caller takes every piece. So does a
// browser, whose workers share no memory (browser.cpp).
#pragma once

#include <functional>

#if defined(__wasm__)

struct Signal {  // nobody waits for the only thread
    void clear() {}
    void set() {}
    void wait() {}
};

class ThreadPool {
public:
    using Work = std::function<void(int worker, int piece)>;

    explicit ThreadPool(int) {}
    bool of_this_process() const { return true; }
    void run(int pieces, const Work& work) {
        for (int piece = 0; piece < pieces; ++piece) work(0, piece);
    }
};

#else

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

// Something that one thread has done and another may wait for.
class Signal {
public:
    void clear() { done_ = false; }  // while nobody else is at it
    void set() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (done_) return;
            done_ = true;
        }
        wake_.notify_all();
    }
    void wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return done_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    bool done_ = false;
};

class ThreadPool {
public:
    using Work = std::function<void(int worker, int piece)>;

    explicit ThreadPool(int threads) {
        try {
            for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
        } catch (...) {
            stop();
            throw;
        }
    }
    ~ThreadPool() { stop(); }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // False in a forked child, where the pool can be neither woken nor destroyed: whoever waits there waits forever.
    bool of_this_process() const { return getpid() == owner_; }

    void run(int pieces, const Work& work) {
        if (workers_.empty() || pieces == 1 || !of_this_process()) {
            for (int piece = 0; piece < pieces; ++piece) work(0, piece);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            pieces_ = pieces;
            next_ = 0;
            busy_ = static_cast<int>(workers_.size());
            ++round_;
        }
        wake_.notify_all();
        take(0, work, pieces);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
    }

private:
    void take(int worker, const Work& work, int pieces) {
        for (int piece; (piece = next_.fetch_add(1)) < pieces;) work(worker, piece);
    }

    void serve(int worker) {
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t seen = 0;;) {
            wake_.wait(lock, [&] { return stopped_ || round_ != seen; });
            if (stopped_) return;
            seen = round_;
            const Work& work = *work_;
            const int pieces = pieces_;
            lock.unlock();
            take(worker, work, pieces);
            lock.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    void stop() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopped_ = true;
        }
        wake_.notify_all();
        for (std::thread& one : workers_) one.join();
    }

    const pid_t owner_ = getpid();
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const Work* work_ = nullptr;
    std::atomic<int> next_{0};
    int pieces_ = 0, busy_ = 0;
    uint64_t round_ = 0;
    bool stopped_ = false;
    std::vector<std::thread> workers_;
};

#endif
