using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Tests;

public sealed class InstanceLockTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly TempDirectory _temp = new();
    private readonly InstanceDirectory _directory;

    public InstanceLockTests() => _directory = new InstanceDirectory(_temp.Path);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Only_one_has_it()
    {
        Assert.False(InstanceLock.IsHeld(_directory));
        using (InstanceLock? held = InstanceLock.TryAcquire(_directory))
        {
            Assert.NotNull(held);
            Assert.True(InstanceLock.IsHeld(_directory));
            Assert.Null(InstanceLock.TryAcquire(_directory));
        }

        Assert.False(InstanceLock.IsHeld(_directory));
    }

    [Fact]
    public void It_is_private()
    {
        using InstanceLock? held = InstanceLock.TryAcquire(_directory);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_directory.Lock));
    }

    [Fact]
    public async Task Waiting_ends_with_its_release()
    {
        InstanceLock held = InstanceLock.TryAcquire(_directory)!;
        Assert.False(InstanceLock.WaitReleased(_directory, TimeSpan.FromMilliseconds(50)));
        Task<bool> waiting = Task.Run(() => InstanceLock.WaitReleased(_directory, s_patience), TestContext.Current.CancellationToken);
        held.Dispose();
        Assert.True(await waiting);
    }

    [Fact]
    public void A_deleted_lock_file_guards_nothing()
    {
        using InstanceLock old = InstanceLock.TryAcquire(_directory)!;
        File.Delete(_directory.Lock);
        using InstanceLock? fresh = InstanceLock.TryAcquire(_directory);
        Assert.NotNull(fresh);
        Assert.True(InstanceLock.IsHeld(_directory));
        Assert.False(old.Guards(_directory)); // whoever opened the old file before it went may lock it after
        Assert.True(fresh.Guards(_directory));
    }

    [Fact]
    public void One_at_a_time_has_it_however_often_it_is_deleted()
    {
        int owners = 0, shared = 0;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                using InstanceLock? held = InstanceLock.TryAcquire(_directory);
                if (held is null) continue;
                if (Interlocked.Increment(ref owners) != 1) Interlocked.Increment(ref shared);
                Thread.Yield();
                Interlocked.Decrement(ref owners);
                File.Delete(_directory.Lock);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        Assert.Equal(0, shared);
    }

    [Fact]
    public void One_of_many_gets_it()
    {
        InstanceLock?[] held = new InstanceLock?[16];
        Parallel.For(0, held.Length, i => held[i] = InstanceLock.TryAcquire(_directory));
        Assert.Single(held, one => one is not null);
        foreach (InstanceLock? one in held) one?.Dispose();
    }
}
