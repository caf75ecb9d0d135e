using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>A user without any privilege but /dev/kvm, on a real cgroup hierarchy: an instance, a background reboot, and how far its shadow is isolated.</summary>
public sealed class RootlessTests : IDisposable
{
    private const int User = 1000;
    private const string Delegated = "/sys/fs/cgroup/bgkvm-test-user";

    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-rootless-").FullName;

    public RootlessTests()
    {
        Shell($"chmod 755 {_folder}");
        // What udev does elsewhere, by a group.
        if (Environment.GetEnvironmentVariable("BGKVM_RIG") == "1") Shell("chmod 666 /dev/kvm");
        // As systemd delegates to a user's manager: the group, what it hands down, and the session in it are the user's.
        Shell($"""
            mkdir -p {Delegated}/session
            echo +cpu +io +memory >{Delegated}/cgroup.subtree_control
            chown {User} {Delegated} {Delegated}/session {Delegated}/cgroup.procs {Delegated}/cgroup.subtree_control {Delegated}/session/cgroup.procs
            """);
    }

    public void Dispose()
    {
        Shell($"until rmdir {Delegated}/session {Delegated}; do sleep 0.1; done 2>/dev/null");
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void With_a_delegated_group_the_shadow_is_as_idle_as_roots()
    {
        (IsolationView isolation, int shadow) = RebootAs(UserProgram($"echo $$ >{Delegated}/session/cgroup.procs"));
        Assert.Null(isolation.Partial);
        Assert.Contains("cpu.idle", Applied(isolation));
        Assert.Contains("memory.high", Applied(isolation));
        Assert.False(Directory.Exists($"{Delegated}/bgkvm-{Instance.Name}-shadow-{shadow}"));
    }

    [Fact]
    public void Without_one_niceness_remains_and_a_line_says_so()
    {
        (IsolationView isolation, _) = RebootAs(UserProgram("true"));
        Assert.Contains("CPU time by niceness only", isolation.Partial, StringComparison.Ordinal);
        Assert.Contains("nice", Applied(isolation));
        Assert.Contains("limiter", Applied(isolation));
        // A user who could not undo it must not do it.
        Assert.DoesNotContain("SCHED_IDLE", Applied(isolation));
    }

    private static string[] Applied(IsolationView isolation) =>
        [.. isolation.Measures.Where(measure => measure.Applied).Select(measure => measure.Mechanism)];

    /// <summary>A bgkvm that runs as the user, whoever calls it.</summary>
    private string UserProgram(string before)
    {
        string path = Path.Combine(_folder, "bgkvm");
        File.WriteAllText(path, $"""
            #!/bin/bash
            {before} || exit
            groups=$(stat -c %g /dev/kvm)
            exec setpriv --reuid {User} --regid {User} --groups "$groups" --inh-caps=-all --no-new-privs bgkvm "$@"
            """);
        Shell($"chmod 755 {path}");
        return path;
    }

    private static (IsolationView Isolation, int Shadow) RebootAs(string program)
    {
        using Instance vm = new(program, User);
        try
        {
            using Guest guest = vm.Start();
            guest.LogIn();
            using Command reboot = vm.BeginReboot();
            reboot.WaitForLine("old OS shuts down", Limits.Reboot);
            InstanceView during = vm.Status();
            int shadow = Assert.NotNull(during.ShadowPid);
            IsolationView isolation = Assert.IsType<IsolationView>(during.Isolation);
            TestContext.Current.TestOutputHelper?.WriteLine(string.Join('\n', isolation.Measures));
            Assert.Equal($"Uid:\t{User}\t{User}\t{User}\t{User}", File.ReadLines($"/proc/{shadow}/status").First(line => line.StartsWith("Uid", StringComparison.Ordinal)));
            CommandResult done = reboot.WaitForExit(Limits.Reboot);
            Assert.True(done.ExitCode == 0, done.Errors);
            Assert.Equal(isolation.Partial is not null, done.Output.Contains("isolation is partial", StringComparison.Ordinal));
            guest.LogIn(); // at the new system's prompt
            guest.Dispose();
            vm.Stop();
            return (isolation, shadow);
        }
        catch
        {
            TestContext.Current.TestOutputHelper?.WriteLine(vm.Tails());
            throw;
        }
    }

    private static void Shell(string script)
    {
        CommandResult result = Command.Run("bash", "-ec", script);
        Assert.True(result.ExitCode == 0, result.Errors);
    }
}
