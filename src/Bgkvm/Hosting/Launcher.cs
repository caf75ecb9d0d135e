using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Bgkvm.Control;
using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>Starts an instance's process and learns whether it came up.</summary>
internal static class Launcher
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Starts a new instance, or a stopped one again.</summary>
    /// <param name="directory">Its directory; made if need be.</param>
    /// <param name="options">What the command line says.</param>
    /// <returns>The id of its process, which runs on when this one ends.</returns>
    /// <exception cref="InstanceException">It cannot be started; everything is as it was before.</exception>
    public static async Task<int> StartAsync(InstanceDirectory directory, StartOptions options)
    {
        using InstanceLock held = Lock(directory, options);
        return await ConfigureAsync(directory, options, () => Task.FromResult(Launch(directory, held)));
    }

    /// <summary>Starts a new instance, or a stopped one again, in this process, and ends with its guest.</summary>
    /// <param name="directory">Its directory; made if need be.</param>
    /// <param name="options">What the command line says.</param>
    /// <param name="factory">What brings it to life.</param>
    /// <returns>The process's exit status.</returns>
    /// <exception cref="InstanceException">It cannot be started; everything is as it was before.</exception>
    public static async Task<int> RunAsync(InstanceDirectory directory, StartOptions options, InstanceFactory factory)
    {
        _ = Posix.close_range(3, uint.MaxValue, Posix.CLOSE_RANGE_CLOEXEC);
        using InstanceLock held = Lock(directory, options);
        InstanceProcess process = await ConfigureAsync(
            directory, options, () => InstanceProcess.StartInForegroundAsync(directory, factory));
        ServiceManager.TellReady();
        int exitCode = await process.EndAsync();
        ServiceManager.TellStopping();
        if (exitCode != ExitCode.Done) Cli.Complain($"the machine of {directory.Name} broke: see {directory.Log}");
        return exitCode;
    }

    private static InstanceLock Lock(InstanceDirectory directory, StartOptions options)
    {
        if (!File.Exists(directory.Config)) _ = options.Create(directory.Name); // complains before anything is made
        Preflight.CheckSocketPath(directory);
        // A folder of the user's that happens to have this name must never come to be deleted with an instance.
        if (IsForeign(directory))
        {
            throw new InstanceException(
                $"{directory.Path} exists and is not an instance of bgkvm; choose another name or another BGKVM_HOME");
        }

        _ = Posix.umask(0x3f /* 0077 */); // for this process's files and those of the one it starts
        Directory.CreateDirectory(directory.Path, Private);
        return InstanceLock.TryAcquire(directory)
            ?? throw new InstanceException($"{directory.Name} is running already");
    }

    /// <summary>Stores what the instance is to be, and starts it; under its lock. If that fails the directory is as it was.</summary>
    private static async Task<T> ConfigureAsync<T>(InstanceDirectory directory, StartOptions options, Func<Task<T>> start)
    {
        // Only what is seen under the lock decides what may be deleted.
        InstanceConfig? stored = File.Exists(directory.Config) ? ConfigFile.Read(directory) : null;
        try
        {
            InstanceConfig config = options.For(directory.Name, stored);
            Preflight.Check(directory, config);
            ConfigFile.Write(directory, config);
            return await start();
        }
        catch (Exception e)
        {
            if (stored is not null) ConfigFile.Write(directory, stored);
            else Directory.Delete(directory.Path, recursive: true);
            if (e is InstanceException) throw;
            throw new InstanceException(e.Message, inner: e);
        }
    }

    /// <summary>Whether a directory holds something, and not an instance, nor one that is being made right now: that holds its lock.</summary>
    private static bool IsForeign(InstanceDirectory directory) =>
        Directory.Exists(directory.Path)
        && Directory.EnumerateFileSystemEntries(directory.Path).Any(file => file != directory.Lock)
        && !InstanceLock.IsHeld(directory)
        && !File.Exists(directory.Config);

    private static int Launch(InstanceDirectory directory, InstanceLock held)
    {
        string self = Environment.ProcessPath ?? "/proc/self/exe";
        ProcessStartInfo start = new(self)
        {
            UseShellExecute = false,
            WorkingDirectory = "/",
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // A framework-dependent build may run under the dotnet host and has to name its assembly.
        if (Path.GetFileNameWithoutExtension(self) == "dotnet")
            start.ArgumentList.Add(Path.GetFullPath(Environment.GetCommandLineArgs()[0]));
        start.ArgumentList.Add("run");
        start.ArgumentList.Add(directory.Name);
        start.ArgumentList.Add("--lock");
        start.ArgumentList.Add(held.Descriptor.Fd.ToString(CultureInfo.InvariantCulture));
        start.Environment["BGKVM_HOME"] = InstanceDirectory.Home; // absolute: the working directory changes

        // Nothing that this process inherited may be kept open for the life of the instance, except for the lock.
        _ = Posix.close_range(3, uint.MaxValue, Posix.CLOSE_RANGE_CLOEXEC);
        UnixSocket.KeepOnExec(held.Descriptor, keep: true);
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        string? line = process.StandardOutput.ReadLine();
        StartReport report = line is not null
            ? JsonSerializer.Deserialize(line, ControlJson.Default.StartReport)!
            : new StartReport(false, Obituary(directory, process), ExitCode.Failed);
        if (report.Ok) return process.Id;
        // The directory is only put back once nobody works in it any more.
        process.WaitForExit();
        throw new InstanceException(report.Message ?? "the instance did not start", report.ExitCode);
    }

    private static string Obituary(InstanceDirectory directory, Process process)
    {
        string error = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        if (error.Length == 0 && File.Exists(directory.Log))
        {
            string[] log = [.. File.ReadLines(directory.Log).Where(line => line.Length > 0)];
            error = log.LastOrDefault(line => line.StartsWith("Unhandled exception", StringComparison.Ordinal))
                ?? log.LastOrDefault("it left no word");
        }

        return $"the process of {directory.Name} ended while it was starting (exit status {process.ExitCode}): {error}";
    }
}
