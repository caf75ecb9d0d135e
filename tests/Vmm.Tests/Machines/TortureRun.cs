using System.Diagnostics;
using CowMemory;
using TestKit;
using TestKit.Disks;
using TestKit.Guests.Torture;
using Vmm.Machines;

namespace Vmm.Tests.Machines;

/// <summary>
/// Runs the torture guest and moves it again and again, at random moments, into machines that are new each time: as a switch does
/// (the same shared memory), as a fork does (both sides on private views of what is frozen, both run), and as going back to
/// shared memory after an aborted reboot does. Every other state goes through JSON, as to a shadow.
/// </summary>
internal sealed class TortureRun : IDisposable
{
    // Only for a guest that has stopped: it runs thousands of rounds in this time, on the slowest host.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_longestSlice = TimeSpan.FromMilliseconds(1);

    private readonly KvmHost _host = KvmHost.Open();
    private readonly Random _random;
    private TortureSide _side;
    private ulong _bytesSent, _presses;

    public TortureRun(TortureProfile profile, int seed)
    {
        _random = new Random(seed);
        _side = TortureSide.Start(_host, profile);
    }

    /// <summary>As much as this host's KVM can run.</summary>
    public static TortureProfile Widest => SoftwareKvm.IsHere
        ? TortureProfile.Basic
        : TortureProfile.Fpu | (File.ReadAllText("/proc/cpuinfo").Contains(" avx ", StringComparison.Ordinal) ? TortureProfile.Avx : 0);

    /// <summary>How many moves there have been, forks' other sides included.</summary>
    public int Moves { get; private set; }

    /// <summary>What the guest has counted.</summary>
    public string Counters => _side.Counters();

    /// <summary>Starts it and moves it.</summary>
    /// <param name="count">How often, at least.</param>
    /// <exception cref="InvalidOperationException">The guest found a change, or an event was lost.</exception>
    public void Move(int count)
    {
        const int StandstillCheck = 250;
        _side.Machine.Run();
        AwaitProgress(_side, feed: true);
        int checkedAt = 0;
        while (Moves < count)
        {
            Switch();
            Fork();
            Reshare();
            if (Moves - checkedAt < StandstillCheck) continue;
            checkedAt = Moves;
            AwaitProgress(_side, feed: true);
        }

        AwaitProgress(_side, feed: true);
    }

    public void Dispose()
    {
        _side.Dispose();
        _host.Dispose();
    }

    private void Switch() =>
        Take(new TortureSide(_host, _side.Machine.File.Duplicate(), MemoryView.Shared, _side.Disk, _side.Console), viaJson: true, _ => { });

    /// <summary>Both sides go on from the same moment; the other one, after a while, is shown to be as well as this one.</summary>
    private void Fork()
    {
        MemoryFile file = _side.Machine.File;
        TortureSide next = new(_host, file.Duplicate(), MemoryView.Private, _side.Disk, _side.Console);
        using TortureSide other = new(
            _host, file.Duplicate(), MemoryView.Private, new MemoryDisk(TortureGuest.DiskBytes), new TortureConsole());
        Take(next, viaJson: false, state =>
        {
            _side.Disk.Bytes.CopyTo(other.Disk.Bytes, 0);
            other.Console.Continue(_side.Console);
            other.Machine.Load(MachineStateJson.RoundTrip(state));
        });
        other.Machine.Run();
        Slice();
        if (_random.Next(50) == 0) AwaitProgress(other, feed: false);
        other.Machine.Pause();
        Check(other);
        Moves++;
    }

    private void Reshare()
    {
        MemoryFile file = MemoryFile.Create("torture", TortureGuest.MemoryBytes);
        TortureSide next = new(_host, file, MemoryView.Shared, _side.Disk, _side.Console);
        Take(next, viaJson: false, _ => _side.Machine.Memory.Read(default, (int)TortureGuest.MemoryBytes)
            .CopyTo(next.Machine.Memory.Write(default, (int)TortureGuest.MemoryBytes)));
    }

    /// <summary>A move: in the order of <c>Cloning.MachineMove</c>.</summary>
    private void Take(TortureSide next, bool viaJson, Action<MachineState> whilePaused)
    {
        MachineState state = next.Machine.NewState();
        Slice();
        Feed();
        _side.Machine.Pause();
        if (_side.Complaint() is not null) Check(_side);
        _side.Machine.Save(state);
        whilePaused(state);
        next.Machine.Load(viaJson ? MachineStateJson.RoundTrip(state) : state);
        next.Machine.Run();
        _side.Dispose();
        _side = next;
        Moves++;
    }

    /// <summary>Lets the guest run for a random time, so that it is stopped between any two instructions.</summary>
    private void Slice()
    {
        long end = Stopwatch.GetTimestamp() + _random.NextInt64((long)(s_longestSlice.TotalSeconds * Stopwatch.Frequency));
        while (Stopwatch.GetTimestamp() < end) Thread.Yield();
    }

    /// <summary>Sends what the guest waits for, each kind once it has got the last.</summary>
    private void Feed()
    {
        // Setting the serial port up drops what has come before.
        if (_side.Read(0, TortureField.Rounds) == 0) return;
        ulong received = _side.Read(0, TortureField.RxGot), pressed = _side.Read(0, TortureField.PowerGot);
        if (received > _bytesSent || pressed > _presses)
            throw new InvalidOperationException($"the guest got more than it was sent. {_side.Counters()}");
        if (pressed == _presses)
        {
            _presses++;
            _side.Machine.PressPowerButton();
        }

        if (received < _bytesSent) return;
        Span<byte> bytes = stackalloc byte[_random.Next(1, 24)]; // more than the receive FIFO holds
        foreach (ref byte b in bytes) b = (byte)_bytesSent++;
        _side.Machine.Console.Receive(bytes);
    }

    private void AwaitProgress(TortureSide side, bool feed)
    {
        (string Name, ulong Count)[] before = side.Progress();
        // Its own interrupts, whoever sends bytes and presses buttons.
        int[] outer = [6, 7], fed = feed ? [] : outer;
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            (string Name, ulong Count)[] now = side.Progress();
            string[] still = [.. Enumerable.Range(0, now.Length)
                .Where(i => now[i].Count <= before[i].Count && !fed.Contains(i)).Select(i => now[i].Name)];
            if (still.Length == 0) return;
            Check(side);
            if (Stopwatch.GetElapsedTime(start) > s_patience)
                throw new InvalidOperationException($"after {Moves} moves {string.Join(" and ", still)} stand still. {side.Counters()}. {side.Waits()}");
            // Not for ever: a slow guest would do nothing but take what it is sent.
            if (outer.Any(i => now[i].Count <= before[i].Count && !fed.Contains(i))) Feed();
            Thread.Yield();
        }
    }

    private void Check(TortureSide side)
    {
        if (side.Complaint() is { } complaint) throw new InvalidOperationException($"after {Moves} moves {complaint}");
    }
}
