using Cloning.Disks;
using Kvm.Interop;
using VirtioBlk;
using Xunit;

namespace Cloning.Tests.Disks;

/// <summary>Between a commit and its durability a guest's FLUSH waits, and nothing else does.</summary>
public sealed class CommitGateTests
{
    [Fact]
    public async Task Only_a_flush_waits_for_the_commit()
    {
        CancellationToken cancelled = TestContext.Current.CancellationToken;
        using CommitState committed = new();
        committed.Reset();
        RecordingDisk disk = new();
        using CommitGate gate = new(disk, committed);
        Task flush = Task.Run(gate.Flush, cancelled);
        gate.Read([], 0);
        Assert.True(gate.TryReadCached([], 1));
        Assert.True(gate.TryWriteCached([], 2));
        gate.Write([], 3);
        gate.Discard(4, 512);
        gate.WriteZeroes(5, 512, mayUnmap: true);
        Assert.Equal(["read 0", "cached read 1", "cached write 2", "write 3", "discard 4", "zeroes 5"], disk.Calls);
        Assert.False(flush.IsCompleted);
        committed.Set();
        await flush.WaitAsync(cancelled);
        Assert.Equal("flush", disk.Calls[^1]);
        Assert.Equal((4096, true, true), (gate.LengthBytes, gate.IsReadOnly, gate.IsCrowded));
    }

    [Fact]
    public async Task A_flush_fails_while_the_commit_is_known_not_to_be_durable()
    {
        CancellationToken cancelled = TestContext.Current.CancellationToken;
        using CommitState committed = new();
        committed.Reset();
        RecordingDisk disk = new();
        using CommitGate gate = new(disk, committed);
        Task flush = Task.Run(gate.Flush, cancelled);
        committed.Fail();
        await Assert.ThrowsAsync<IOException>(() => flush.WaitAsync(cancelled));
        Assert.Throws<IOException>(gate.Flush);
        Assert.Empty(disk.Calls);
        committed.Set();
        gate.Flush();
        Assert.Equal(["flush"], disk.Calls);
    }

    /// <summary>A simulated disk that notes what it is asked for.</summary>
    private sealed class RecordingDisk : IBlockBackend
    {
        public List<string> Calls { get; } = [];

        public long LengthBytes => 4096;

        public bool IsReadOnly => true;

        public bool IsCrowded => true;

        public void Read(ReadOnlySpan<IoVec> vectors, long offset) => Calls.Add($"read {offset}");

        public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => Note($"cached read {offset}");

        public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset) => Note($"cached write {offset}");

        public void Write(ReadOnlySpan<IoVec> vectors, long offset) => Calls.Add($"write {offset}");

        public void Flush() => Calls.Add("flush");

        public void Discard(long offset, long length) => Calls.Add($"discard {offset}");

        public void WriteZeroes(long offset, long length, bool mayUnmap) => Calls.Add($"zeroes {offset}");

        public void Dispose() { }

        private bool Note(string call)
        {
            Calls.Add(call);
            return true;
        }
    }
}
