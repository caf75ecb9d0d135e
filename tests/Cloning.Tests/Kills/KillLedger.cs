using System.Globalization;
using Cloning.Instances;
using Cloning.Tests.Faults;
using Xunit;

namespace Cloning.Tests.Kills;

/// <summary>What a <see cref="KilledInstance"/> has said, and what its disks must therefore hold.</summary>
internal sealed class KillLedger
{
    // Where in a background reboot it is. A record counts by the steps that were entered when it was begun and when it was durable.
    private enum Era
    {
        Before,
        Forking,
        Forked,
        Switching,
        Switched,
    }

    private readonly Dictionary<ulong, Era> _begun = [];
    private readonly Dictionary<ulong, (Era Begun, Era Written)> _written = [];
    private readonly HashSet<ulong> _everWritten = [];
    private Era _era;

    /// <summary>Records on the system disk for certain, whatever happens.</summary>
    public HashSet<ulong> Kept { get; } = [];

    public ulong First { get; init; } = 20_000;

    /// <summary>The last record begun.</summary>
    public ulong Last { get; private set; } = 20_000;

    /// <summary>Background reboots that have ended.</summary>
    public int Reboots { get; private set; }

    public List<int> Shadows { get; } = [];

    public string At => $"{_era}";

    public void Hear(string line)
    {
        string[] words = line.Split(' ', 3);
        switch (words[0])
        {
            case "write":
                Last = Number(words[1]);
                _begun[Last] = _era;
                break;
            case "written":
                _written[Number(words[1])] = (_begun[Number(words[1])], _era);
                _everWritten.Add(Number(words[1]));
                break;
            case "shadow":
                Shadows.Add((int)Number(words[1]));
                break;
            case "phase":
                _era = Enum.Parse<RebootPhase>(words[1]) switch
                {
                    RebootPhase.Prepare => Era.Before,
                    RebootPhase.Fork => Era.Forking,
                    RebootPhase.Switch => Era.Switching,
                    RebootPhase.After => Era.Switched,
                    _ => Era.Forked,
                };
                break;
            case "ended":
                Assert.Equal("Switched", words[1]);
                Reboots++;
                Settle(after: true);
                _era = Era.Before;
                break;
        }
    }

    /// <summary>Compares the disks with what was said. The process is gone.</summary>
    /// <returns>Whether they are in the state after the commit.</returns>
    public bool AssertHolds(InstanceDirectory directory, InstanceConfig config)
    {
        DiskContent found = DiskContent.Of(directory, config, First, Last);
        bool after = _era switch
        {
            Era.Switched => true,
            // The fork put an overlay of the instance's on top.
            Era.Switching => found.Manifest.Chains[0][^1].Path.EndsWith("-shadow.qcow2", StringComparison.Ordinal),
            _ => false,
        };
        Assert.Subset(new HashSet<ulong>(found.Persistent), _everWritten);
        if (after)
        {
            ulong[] old = [.. _written.Where(one => one.Value is (Era.Forked, Era.Forked)).Select(one => one.Key)];
            Assert.DoesNotContain(old, found.System.Contains);
        }

        Settle(after);
        Assert.Subset(new HashSet<ulong>(found.System), Kept);
        _begun.Clear();
        _era = Era.Before;
        return after;
    }

    private void Settle(bool after)
    {
        foreach ((ulong number, (Era begun, Era written)) in _written)
            if (!after || written == Era.Before || begun == Era.Switched) Kept.Add(number);
        _written.Clear();
    }

    private static ulong Number(string word) => ulong.Parse(word, CultureInfo.InvariantCulture);
}
