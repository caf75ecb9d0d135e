using Cloning.After;
using Cloning.Disks;
using Cloning.Instances;
using Cloning.Tests.Faults;
using Xunit;

namespace Cloning.Tests.Disks;

/// <summary>Background reboots that come faster than layers are merged do not make the chain longer and longer.</summary>
public sealed class ChainDepthTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-depth-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task At_the_most_layers_a_background_reboot_comes_after_the_merging()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can make a file immutable");
        InstanceDirectory files;
        using (TestInstance guest = new('1', _folder)) files = guest.Files;
        List<Layer> chain = Lengthen(files, ChainUpkeep.MaxDepth);
        // The layer that is merged into first cannot be written.
        using (HostFaults.Petrify(Path.Combine(files.Layers, chain[^3].Path)))
        {
            using TestInstance guest = new('1', _folder);
            InstanceException refused = await Assert.ThrowsAsync<InstanceException>(
                () => guest.RebootInBackground(TimeSpan.FromSeconds(1)));
            Assert.Contains("16 layers", refused.Message, StringComparison.Ordinal);
            Assert.Equal(ChainUpkeep.MaxDepth, guest.Instance.Status().ChainDepth);
            guest.Ask('v', "<1>");
        }

        using (TestInstance guest = new('1', _folder))
        {
            guest.Install('2');
            RebootReport report = await guest.RebootInBackground();
            Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
            guest.Ask('v', "<2>");
            await guest.Instance.Upkeep.Work;
            Assert.Equal(ChainUpkeep.RestDepth, guest.Instance.Status().ChainDepth);
        }
    }

    /// <summary>Leaves an instance that is off as background reboots do whose layers have not been merged.</summary>
    private static List<Layer> Lengthen(InstanceDirectory files, int layers)
    {
        using ManifestFile file = new(files);
        DiskManifest manifest = file.Read();
        List<Layer> chain = [.. manifest.Chains[0]];
        int number = manifest.NextLayer;
        while (chain.Count < layers)
        {
            Layer overlay = new($"disk0-{number++:d6}-shadow.qcow2", "qcow2");
            SystemDisk.CreateOverlay(files.Layers, chain, overlay, TestInstance.DiskBytes);
            chain.Add(overlay);
        }

        file.Replace(manifest with { NextLayer = number, Chains = [chain] });
        return chain;
    }
}
