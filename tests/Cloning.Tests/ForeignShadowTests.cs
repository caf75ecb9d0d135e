using System.Globalization;
using Cloning.Instances;
using Cloning.Isolation;
using Cloning.Shadow;
using VirtioBlk.Turns;
using Vmm.Machines;
using Xunit;

namespace Cloning.Tests;

/// <summary>A shadow that is another version of the program, as after an upgrade under a running instance.</summary>
public sealed class ForeignShadowTests
{
    [Theory]
    [InlineData("""{"type":"hello"}""", 0)] // from before versions were told
    [InlineData("""{"type":"hello","stateVersion":1000}""", 1000)]
    public void It_is_refused_before_anything_is_paused(string hello, int version)
    {
        string program = Path.GetTempFileName(), length = ((char)('0' + (hello.Length >> 3))).ToString() + (hello.Length & 7);
        // Length, least byte first, then the message, into the descriptor that comes as the third argument.
        File.WriteAllText(program, $"#!/bin/bash\nprintf '\\{length}\\0\\0\\0%s' '{hello}' >&$3\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using DiskActivity foreground = DiskActivity.Create();
        try
        {
            ShadowException e = Assert.Throws<ShadowException>(() => ShadowHandle.Start(
                new InstanceConfig("foreign", [], null, null, "", 16, 1, ""), foreground, RebootPriority.Idle, program, TestContext.Current.CancellationToken));
            Assert.Contains("a different bgkvm", e.Message, StringComparison.Ordinal);
            Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"version {version}, this one's {MachineState.CurrentVersion}"),
                e.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(program);
        }
    }
}
