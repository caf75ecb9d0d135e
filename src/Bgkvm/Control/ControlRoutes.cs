using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Cloning.Instances;
using Cloning.Isolation;

namespace Bgkvm.Control;

/// <summary>What the control API answers.</summary>
internal sealed class ControlRoutes
{
    /// <summary>The longest time-out, seconds: a day.</summary>
    public const int MaximumTimeoutSeconds = 24 * 60 * 60;

    private const string EventStream = "text/event-stream";

    private readonly IInstance _instance;
    private readonly ILogger _log;

    private ControlRoutes(IInstance instance, ILogger log)
    {
        _instance = instance;
        _log = log;
    }

    /// <summary>Adds every route.</summary>
    public static void Map(WebApplication app, IInstance instance, ILogger log)
    {
        ControlRoutes routes = new(instance, log);
        app.Use(next => context => AnswerProblems(context, next, log));
        app.MapGet("/v1/instance", routes.GetInstance);
        app.MapPost("/v1/reboot", routes.Reboot);
        app.MapPost("/v1/stop", routes.Stop);
        app.MapPost("/v1/console/break", routes.Break);
        app.MapGet("/openapi.json", GetOpenApi);
    }

    private Task GetInstance(HttpContext context) =>
        Write(context, _instance.Status(), ControlJson.Default.InstanceStatus);

    private async Task Reboot(HttpContext context)
    {
        RebootBody body = await Read(context, ControlJson.Default.RebootBody) ?? new RebootBody();
        if (body.KeepDiscarded is { Length: > 0 } keep && !Path.IsPathFullyQualified(keep))
            throw new BadRequestException("keepDiscarded must be an absolute path, or empty");
        if (body is { KeepDiscarded: not null, Mode: RebootMode.InPlace })
            throw new BadRequestException("keepDiscarded is for background reboots: one in place discards nothing");
        if (body.Mode == RebootMode.InPlace && (body.Priority != RebootPriority.Idle || body.MaxDurationSeconds is not null))
            throw new BadRequestException("priority and maxDurationSeconds are for background reboots: one in place has no shadow");
        TimeSpan? limit = body.MaxDurationSeconds is { } most ? Seconds(most, "maxDurationSeconds") : null;
        RebootRun run = RebootRun.Start(
            _instance,
            new RebootRequest(
                body.Mode,
                body.Shutdown,
                body.Quiesce,
                Seconds(body.TimeoutSeconds),
                body.KeepDiscarded,
                body.Priority,
                limit,
                body.OnMaxDuration,
                body.ShutdownTimeoutSeconds is { } shutdown ? Seconds(shutdown, "shutdownTimeoutSeconds") : null),
            _log);
        // From here on a client that goes away ends the answer, not the reboot.
        if (context.Request.Headers.Accept.Any(accept => accept?.Contains(EventStream, StringComparison.Ordinal) == true))
            await WriteEvents(context, run);
        else
            await Write(context, await run.Report.WaitAsync(context.RequestAborted), ControlJson.Default.RebootReport);
    }

    private async Task Stop(HttpContext context)
    {
        StopBody body = await Read(context, ControlJson.Default.StopBody) ?? new StopBody();
        _log.LogInformation("Stop asked for: {Request}", body);
        bool stopped = await _instance.StopAsync(body.Force, Seconds(body.TimeoutSeconds));
        await Write(context, new StopResult(stopped), ControlJson.Default.StopResult);
    }

    private Task Break(HttpContext context)
    {
        _instance.Console.SendBreak();
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    private static async Task GetOpenApi(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        await using Stream document = ControlServer.OpenOpenApi();
        await document.CopyToAsync(context.Response.Body, context.RequestAborted);
    }

    private static async Task WriteEvents(HttpContext context, RebootRun run)
    {
        // What is refused before the first step can still be an ordinary error.
        if (!await run.Steps.WaitToReadAsync(context.RequestAborted) && run.Report.IsFaulted) await run.Report;
        context.Response.ContentType = EventStream;
        context.Response.Headers.CacheControl = "no-store";
        await foreach (RebootProgress step in run.Steps.ReadAllAsync(context.RequestAborted))
            await WriteEvent(context, "progress", JsonSerializer.Serialize(step, ControlJson.Default.RebootProgress));
        try
        {
            await WriteEvent(context, "report", JsonSerializer.Serialize(await run.Report, ControlJson.Default.RebootReport));
        }
        catch (Exception e) when (run.Report.IsFaulted)
        {
            await WriteEvent(context, "problem", JsonSerializer.Serialize(Problem.From(e), ControlJson.Default.Problem));
        }
    }

    private static async Task WriteEvent(HttpContext context, string name, string json)
    {
        await context.Response.WriteAsync($"event: {name}\ndata: {json}\n\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    private static async Task<T?> Read<T>(HttpContext context, JsonTypeInfo<T> type) where T : class
    {
        using MemoryStream body = new();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        if (body.Length == 0) return null;
        try
        {
            return JsonSerializer.Deserialize(body.ToArray(), type);
        }
        catch (JsonException e)
        {
            throw new BadRequestException($"the body is not what {context.Request.Path} takes: {e.Message}");
        }
    }

    private static Task Write<T>(HttpContext context, T value, JsonTypeInfo<T> type, string mediaType = "application/json")
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(value, type);
        context.Response.ContentType = mediaType;
        context.Response.ContentLength = body.Length;
        return context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
    }

    private static TimeSpan Seconds(int seconds, string name = "timeoutSeconds") => seconds is >= 1 and <= MaximumTimeoutSeconds
        ? TimeSpan.FromSeconds(seconds)
        : throw new BadRequestException($"{name} must be 1 to {MaximumTimeoutSeconds}");

    /// <summary>Turns every failure into a problem document.</summary>
    private static async Task AnswerProblems(HttpContext context, RequestDelegate next, ILogger log)
    {
        Problem problem;
        try
        {
            await next(context);
            if (context.Response.HasStarted || context.Response.StatusCode is not (404 or 405)) return;
            problem = Problem.Unroutable(context.Response.StatusCode, context.Request.Method, context.Request.Path);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (BadHttpRequestException e)
        {
            problem = Problem.From(new BadRequestException(e.Message)) with { Status = e.StatusCode };
        }
        catch (Exception e)
        {
            problem = Problem.From(e);
            if (problem.Status == 500) log.LogError(e, "{Method} {Path} failed", context.Request.Method, context.Request.Path);
        }

        if (context.Response.HasStarted) return;
        context.Response.StatusCode = problem.Status;
        await Write(context, problem, ControlJson.Default.Problem, Problem.MediaType);
    }
}
