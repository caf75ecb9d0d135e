using System.Runtime.InteropServices;
using System.Text.Json;
using Bgkvm.Consoles;
using Bgkvm.Control;
using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>The life of an instance's process, whether a <c>start</c> has launched it or has become it.</summary>
internal sealed class InstanceProcess
{
    private static readonly TimeSpan s_politeStop = TimeSpan.FromSeconds(60);

    private readonly InstanceDirectory _directory;
    private readonly ILoggerFactory _logs;
    private readonly ILogger _log;
    private readonly IInstance _instance;
    private readonly ConsoleServer _console;
    private readonly ControlServer _control;
    private readonly PosixSignalRegistration _terminate, _interrupt;

    private InstanceProcess(
        InstanceDirectory directory, ILoggerFactory logs, IInstance instance, ConsoleServer console, ControlServer control)
    {
        (_directory, _logs, _instance, _console, _control) = (directory, logs, instance, console, control);
        _log = logs.CreateLogger("bgkvm");
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, StopPolitely);
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, StopPolitely);
    }

    /// <summary>The whole life of <c>bgkvm run</c>: starts the instance, tells the <c>start</c> that waits, and ends with the guest.</summary>
    /// <param name="directory">The instance's directory.</param>
    /// <param name="lockFd">Its lock, inherited.</param>
    /// <param name="factory">What brings it to life.</param>
    /// <returns>The process's exit status.</returns>
    public static async Task<int> RunAsync(InstanceDirectory directory, int lockFd, InstanceFactory factory)
    {
        using InstanceLock held = InstanceLock.Adopt(lockFd);
        InstanceProcess process;
        using (SafeFd parent = Detach(directory))
        {
            try
            {
                process = await StartAsync(directory, factory);
            }
            catch (Exception e)
            {
                Report(parent, new StartReport(
                    false, e.Message, e is InstanceException refusal ? refusal.ExitCode : ExitCode.Failed));
                return ExitCode.Failed;
            }

            Report(parent, new StartReport(true, null, ExitCode.Done));
        }

        return await process.EndAsync();
    }

    /// <summary>Starts the instance in this process, which keeps its stderr and its session. What is logged goes to the instance's log.</summary>
    /// <param name="directory">The instance's directory, locked by this process.</param>
    /// <param name="factory">What brings it to life.</param>
    /// <returns>The instance runs, and its sockets are served: <see cref="EndAsync"/>.</returns>
    public static Task<InstanceProcess> StartInForegroundAsync(InstanceDirectory directory, InstanceFactory factory)
    {
        Posix.Redirect("/dev/null", Libc.O_RDONLY, 0);
        Posix.Redirect(directory.Log, Posix.O_WRONLY | Posix.O_APPEND | Libc.O_CREAT, 1);
        return StartAsync(directory, factory);
    }

    /// <summary>Waits for the guest's end.</summary>
    /// <returns>The process's exit status.</returns>
    public async Task<int> EndAsync()
    {
        int exitCode = ExitCode.Done;
        try
        {
            await _instance.Completion;
            _log.LogInformation("{Name} has powered off", _directory.Name);
        }
        catch (Exception e)
        {
            _log.LogCritical(e, "The machine broke");
            exitCode = ExitCode.Failed;
        }

        await _control.DisposeAsync();
        // Closes the disks and hands the guest's last words to the console's clients, who are closed after that.
        (_instance as IDisposable)?.Dispose();
        await _console.DisposeAsync();
        _logs.Dispose();
        _terminate.Dispose();
        _interrupt.Dispose();
        return exitCode;
    }

    private static async Task<InstanceProcess> StartAsync(InstanceDirectory directory, InstanceFactory factory)
    {
        ILoggerFactory logs = LoggerFactory.Create(logging => logging.AddSimpleConsole(line =>
        {
            line.SingleLine = true;
            line.TimestampFormat = "yyyy-MM-dd HH:mm:ss.fff ";
            line.UseUtcTimestamp = true;
            line.ColorBehavior = Microsoft.Extensions.Logging.Console.LoggerColorBehavior.Disabled;
        }));
        IInstance? instance = null;
        try
        {
            // The guest first: its boot goes on while the rest is set up.
            instance = factory(directory, ConfigFile.Read(directory), logs);
            ConsoleServer console = ConsoleServer.Start(directory.ConsoleSocket, instance.Console);
            ControlServer control = await ControlServer.StartAsync(directory.ControlSocket, instance, logs);
            InstanceProcess process = new(directory, logs, instance, console, control);
            process._log.LogInformation("{Name} runs in process {Pid}", directory.Name, Environment.ProcessId);
            return process;
        }
        catch (Exception e)
        {
            logs.CreateLogger("bgkvm").LogError(e, "Start failed");
            (instance as IDisposable)?.Dispose();
            logs.Dispose();
            throw;
        }
    }

    private void StopPolitely(PosixSignalContext signal)
    {
        signal.Cancel = true;
        _log.LogInformation("Stopping on {Signal}", signal.Signal);
        _ = StopAsync(_instance, _log);
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
