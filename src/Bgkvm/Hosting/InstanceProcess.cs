using System.Runtime.InteropServices;
using System.Text.Json;
using Bgkvm.Consoles;
using Bgkvm.Control;
using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>The life of an instance's process: <c>bgkvm run</c>.</summary>
internal static class InstanceProcess
{
    private static readonly TimeSpan s_politeStop = TimeSpan.FromSeconds(60);

    /// <summary>Starts the instance, serves its sockets, and ends with its guest.</summary>
    /// <param name="directory">The instance's directory.</param>
    /// <param name="lockFd">Its lock, inherited.</param>
    /// <param name="factory">What brings it to life.</param>
    /// <returns>The process's exit status.</returns>
    public static async Task<int> RunAsync(InstanceDirectory directory, int lockFd, InstanceFactory factory)
    {
        using InstanceLock held = InstanceLock.Adopt(lockFd);
        using SafeFd parent = Detach(directory);
        using ILoggerFactory logs = LoggerFactory.Create(logging => logging.AddSimpleConsole(line =>
        {
            line.SingleLine = true;
            line.TimestampFormat = "yyyy-MM-dd HH:mm:ss.fff ";
            line.UseUtcTimestamp = true;
            line.ColorBehavior = Microsoft.Extensions.Logging.Console.LoggerColorBehavior.Disabled;
        }));
        ILogger log = logs.CreateLogger("bgkvm");
        IInstance? instance = null;
        ConsoleServer console;
        ControlServer control;
        try
        {
            // The guest first: its boot goes on while the rest is set up.
            instance = factory(directory, ConfigFile.Read(directory), logs);
            console = ConsoleServer.Start(directory.ConsoleSocket, instance.Console);
            control = await ControlServer.StartAsync(directory.ControlSocket, instance, logs);
        }
        catch (Exception e)
        {
            log.LogError(e, "Start failed");
            (instance as IDisposable)?.Dispose();
            Report(parent, new StartReport(
                false, e.Message, e is InstanceException refusal ? refusal.ExitCode : ExitCode.Failed));
            return ExitCode.Failed;
        }

        log.LogInformation("{Name} runs in process {Pid}", directory.Name, Environment.ProcessId);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, StopPolitely);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, StopPolitely);
        Report(parent, new StartReport(true, null, ExitCode.Done));
        parent.Dispose();
        int exitCode = ExitCode.Done;
        try
        {
            await instance.Completion;
            log.LogInformation("{Name} has powered off", directory.Name);
        }
        catch (Exception e)
        {
            log.LogCritical(e, "The machine broke");
            exitCode = ExitCode.Failed;
        }

        await control.DisposeAsync();
        // Closes the disks and hands the guest's last words to the console's clients, who are closed after that.
        (instance as IDisposable)?.Dispose();
        await console.DisposeAsync();
        return exitCode;

        void StopPolitely(PosixSignalContext signal)
        {
            signal.Cancel = true;
            log.LogInformation("Stopping on {Signal}", signal.Signal);
            _ = StopAsync(instance, log);
        }
    }

    /// <summary>As a service manager wants it: the power button first, the plug when that does not help.</summary>
    private static async Task StopAsync(IInstance instance, ILogger log)
    {
        if (await instance.StopAsync(force: false, s_politeStop)) return;
        log.LogWarning("The guest did not power off; stopping the machine");
        await instance.StopAsync(force: true, s_politeStop);
    }

    /// <summary>Leaves the terminal and everything else that was inherited.</summary>
    /// <returns>The way back to the <c>start</c> that waits.</returns>
    private static SafeFd Detach(InstanceDirectory directory)
    {
        // Fails only for a process group leader, which somebody made a session for already.
        _ = Posix.setsid();
        SafeFd parent = new(Libc.fcntl(1, Libc.F_DUPFD_CLOEXEC, 3));
        Posix.Redirect("/dev/null", Libc.O_RDONLY, 0);
        Posix.Redirect(directory.Log, Posix.O_WRONLY | Posix.O_APPEND | Libc.O_CREAT, 1, 2);
        return parent;
    }

    private static unsafe void Report(SafeFd parent, StartReport report)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(report, ControlJson.Default.StartReport), (byte)'\n'];
        // SAFETY: the kernel reads the array, which is fixed for the call. The line is shorter than PIPE_BUF, so it goes at
        // once or not at all; a parent that has gone away meanwhile needs no answer.
        fixed (byte* start = line) _ = Libc.write(parent.Fd, start, (nuint)line.Length);
    }
}
