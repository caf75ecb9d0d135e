using Cloning.Instances;

namespace Cloning.Tests.Faults;

/// <summary>An instance to which something is about to happen.</summary>
internal sealed class FaultScene : IDisposable
{
    private const ulong FirstRecord = 20_000;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(180);
    private readonly string _root = Directory.CreateTempSubdirectory("bgkvm-fault-").FullName;
    private readonly Stack<IDisposable> _place = [], _faults = [];
    private readonly List<ulong> _records = [];
    private string? _device;

    public FaultScene(Fault fault)
    {
        Directory.CreateDirectory(Home);
        if (fault.OnSmallDisk) _place.Push(HostFaults.MountSmall(Home, mebibytes: 80));
        Guest = new TestInstance('1', _root, config => fault.OnLoopDevice ? OnLoop(config) : config);
    }

    public TestInstance Guest { get; }

    /// <summary>The folder of the instance's own files.</summary>
    public string Home => Path.Combine(_root, "instance");

    public string Layers => Path.Combine(Home, "layers");

    public int Shadow => Guest.Instance.Status().ShadowPid ?? throw new InvalidOperationException("there is no shadow now");

    /// <summary>The stop that was asked for.</summary>
    public Task<bool>? Stopping { get; private set; }

    /// <summary>Writes the next record.</summary>
    public bool Record()
    {
        ulong next = FirstRecord + (ulong)_records.Count;
        if (!Guest.Record(next)) return false;
        _records.Add(next);
        return true;
    }

    /// <summary>A fault that has to be taken back.</summary>
    public void Hold(IDisposable fault) => _faults.Push(fault);

    /// <summary>Takes back what can be: the disk has space again, the folder can be written.</summary>
    public void Undo()
    {
        while (_faults.TryPop(out IDisposable? fault)) fault.Dispose();
    }

    public void Stop() => Stopping = Guest.Instance.StopAsync(force: false, s_limit);

    /// <summary>The guest reboots itself, and has done so when this returns.</summary>
    public void ResetGuest()
    {
        Guest.Instance.Console.Write("r"u8);
        if (!Guest.Instance.Machine.Exited.Wait(s_limit)) throw new TimeoutException("the guest did not reset");
    }

    public void HollowBase() => Hold(HostFaults.Hollow(_device!, Path.Combine(_root, "system0.img")));

    /// <summary>Ends the instance and looks whether every record is on both disks.</summary>
    public void AssertRecordsKept()
    {
        Guest.Dispose();
        DiskContent found = DiskContent.Of(new InstanceDirectory(Home), Guest.Config, FirstRecord, FirstRecord + 100);
        Xunit.Assert.Equal(_records, found.System.Order());
        Xunit.Assert.Equal(_records, found.Persistent.Order());
    }

    public void Dispose()
    {
        Undo();
        Guest.Dispose();
        while (_place.TryPop(out IDisposable? part)) part.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private InstanceConfig OnLoop(InstanceConfig config)
    {
        (_device, IDisposable detach) = HostFaults.Loop(Path.Combine(_root, "system0.img"));
        _place.Push(detach);
        return config with { Disks = [new DiskConfig(_device, "raw", ReadOnly: false), config.PersistentDisks[0]] };
    }
}
