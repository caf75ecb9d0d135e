using System.Text;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>Descriptors, mappings, events and sockets on the real kernel.</summary>
public sealed class PosixTests
{
    private static readonly TimeSpan s_work = TimeSpan.FromMilliseconds(50);
    private const int F_GETFD = 1, FD_CLOEXEC = 1;

    [Fact]
    public void CPU_time_is_a_thread_s_own_and_a_process_has_that_of_all()
    {
        TimeSpan process = Libc.CpuTimeOf(Environment.ProcessId), own = Libc.CpuTimeOfThread(Libc.gettid());
        TimeSpan others = TimeSpan.Zero;
        Thread thread = new(() =>
        {
            Work();
            others = Libc.CpuTimeOfThread(Libc.gettid());
        });
        thread.Start();
        thread.Join();
        Assert.InRange(others, s_work, s_work * 2);
        Assert.InRange(Libc.CpuTimeOfThread(Libc.gettid()) - own, TimeSpan.Zero, s_work / 2);
        Assert.True(Libc.CpuTimeOf(Environment.ProcessId) - process >= s_work);
        Assert.Throws<LibcException>(() => Libc.CpuTimeOf(int.MaxValue >> 4));

        static void Work()
        {
            while (Libc.CpuTimeOfThread(Libc.gettid()) < s_work)
            {
            }
        }
    }

    [Fact]
    public void An_event_counts_up_and_is_taken_at_once()
    {
        using EventFd e = EventFd.Create(nonBlocking: true);
        Assert.False(e.TryDrain());
        e.Signal();
        e.Signal();
        Assert.True(e.TryDrain());
        Assert.False(e.TryDrain());
    }

    [Fact]
    public void Waiting_for_an_event_goes_on_through_kicks_until_it_comes()
    {
        using EventFd e = EventFd.Create();
        using ManualResetEventSlim ready = new();
        int waiter = 0;
        bool drained = false;
        Thread thread = new(() =>
        {
            waiter = Libc.gettid();
            ready.Set();
            drained = e.TryDrain();
        });
        thread.Start();
        ready.Wait(TestContext.Current.CancellationToken);
        for (int i = 0; i < 1000; i++) KickSignal.Send(waiter);
        Assert.True(thread.IsAlive);
        e.Signal();
        thread.Join();
        Assert.True(drained);
    }

    [Fact]
    public void Descriptors_do_not_leak_into_other_programs()
    {
        using EventFd e = EventFd.Create();
        using SafeFd duplicate = e.Duplicate();
        (SafeFd first, SafeFd second) = UnixSocket.CreatePair();
        using (first)
        using (second)
        {
            Assert.NotEqual(e.Fd, duplicate.Fd);
            Assert.All((int[])[e.Fd, duplicate.Fd, first.Fd, second.Fd], fd =>
                Assert.Equal(FD_CLOEXEC, Libc.fcntl(fd, F_GETFD, 0)));
            UnixSocket.KeepOnExec(first, keep: true);
            Assert.Equal(0, Libc.fcntl(first.Fd, F_GETFD, 0));
        }
    }

    [Fact]
    public void A_failed_call_says_which_and_why()
    {
        using SafeFd none = new(-1);
        Assert.True(none.IsInvalid);
        LibcException e = Assert.Throws<LibcException>(none.Duplicate);
        Assert.Equal(("fcntl(F_DUPFD_CLOEXEC)", 9 /* EBADF */), (e.Call, e.Errno));
        Assert.Equal("fcntl(F_DUPFD_CLOEXEC) failed: Bad file descriptor (errno 9)", e.Message);
        Assert.Equal("open failed for /x: Permission denied (errno 13)",
            new LibcException("open", Libc.EACCES, "/x").Message);
        Assert.Equal("mmap", Assert.Throws<LibcException>(() => SafeMapping.Map(none, 4096, Libc.MAP_SHARED)).Call);
    }

    [Fact]
    public void Data_and_descriptors_arrive_together_and_in_order()
    {
        (SafeFd sender, SafeFd receiver) = UnixSocket.CreatePair();
        using (sender)
        using (receiver)
        using (EventFd one = EventFd.Create(nonBlocking: true))
        using (EventFd two = EventFd.Create(nonBlocking: true))
        {
            UnixSocket.Send(sender, "header"u8, [one, two]);
            UnixSocket.Send(sender, "tail"u8, []);
            byte[] data = new byte[10];
            List<SafeFd> received = [];
            Assert.Equal(10, UnixSocket.Receive(receiver, data, received));
            Assert.Equal("headertail", Encoding.ASCII.GetString(data));
            Assert.Equal(2, received.Count);
            ulong count = 1;
            unsafe
            {
                // SAFETY: the kernel reads 8 bytes from a local.
                Assert.Equal(sizeof(ulong), Libc.write(received[1].Fd, &count, sizeof(ulong)));
            }

            Assert.False(one.TryDrain());
            Assert.True(two.TryDrain());
            Assert.All(received, fd => Assert.Equal(FD_CLOEXEC, Libc.fcntl(fd.Fd, F_GETFD, 0)));
            foreach (SafeFd fd in received) fd.Dispose();
        }
    }

    [Fact]
    public void More_than_the_socket_buffer_holds_arrives_whole()
    {
        (SafeFd sender, SafeFd receiver) = UnixSocket.CreatePair();
        using (sender)
        using (receiver)
        {
            byte[] sent = new byte[4 << 20], got = new byte[sent.Length];
            new Random(1).NextBytes(sent);
            Thread thread = new(() => UnixSocket.Send(sender, sent, []));
            thread.Start();
            Assert.Equal(sent.Length, UnixSocket.Receive(receiver, got, []));
            thread.Join();
            Assert.Equal(sent, got);
        }
    }

    [Fact]
    public void A_closed_other_end_is_the_end_for_a_reader_and_an_error_for_a_writer()
    {
        (SafeFd sender, SafeFd receiver) = UnixSocket.CreatePair();
        using (receiver)
        {
            UnixSocket.Send(sender, "abc"u8, []);
            sender.Dispose();
            Assert.Equal(3, UnixSocket.Receive(receiver, new byte[10], []));
            Assert.Equal(0, UnixSocket.Receive(receiver, new byte[10], []));
            LibcException e = Assert.Throws<LibcException>(() => UnixSocket.Send(receiver, "x"u8, []));
            Assert.Equal(("sendmsg", 32 /* EPIPE */), (e.Call, e.Errno));
        }
    }
}
