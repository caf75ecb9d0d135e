using System.Diagnostics;
using System.Text.Json.Nodes;
using Bgkvm.Control;
using Bgkvm.Tests.Fakes;
using Cloning.Instances;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bgkvm.Tests;

/// <summary>The control API, seen through curl.</summary>
public sealed class ControlApiTests
{
    [Fact]
    public async Task Instance_is_described()
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl("/v1/instance");
        Assert.Equal((200, "application/json"), (answer.Status, answer.MediaType));
        JsonNode instance = JsonNode.Parse(answer.Body)!;
        Assert.Equal("demo", (string?)instance["name"]);
        Assert.Equal("running", (string?)instance["state"]);
        Assert.Equal(Environment.ProcessId, (int?)instance["pid"]);
        Assert.Equal(
            ["name", "state", "pid", "startedAt", "generation", "memoryMiB", "cpus", "backgroundPhase", "shadowPid", "chainDepth", "lastReboot", "upkeep",
                "isolation"],
            instance.AsObject().Select(member => member.Key));
    }

    [Fact]
    public async Task Reboot_without_a_body_is_in_place_and_clean()
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl("/v1/reboot", "-X", "POST");
        Assert.Equal(200, answer.Status);
        Assert.Equal(new RebootRequest(RebootMode.InPlace, ShutdownMode.Clean, QuiesceMode.Auto, TimeSpan.FromSeconds(300)), api.Fake.LastRequest);
        JsonNode report = JsonNode.Parse(answer.Body)!;
        Assert.Equal("inPlace", (string?)report["mode"]);
        Assert.Equal("rebooted", (string?)report["outcome"]);
    }

    [Fact]
    public async Task Report_has_exactly_the_documented_fields()
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl(
            "/v1/reboot", "-d", """{"mode":"background","shutdown":"reset","quiesce":"sysrq","timeoutSeconds":12}""");
        Assert.Equal(
            new RebootRequest(RebootMode.Background, ShutdownMode.Reset, QuiesceMode.Sysrq, TimeSpan.FromSeconds(12)), api.Fake.LastRequest);
        JsonObject report = JsonNode.Parse(answer.Body)!.AsObject();
        Assert.Equal(
            ["mode", "outcome", "reason", "cloneMicros", "quiesceMicros", "switchMicros", "downtimeMicros", "shutdownMillis", "bootMillis",
                "totalMillis", "discardedBytes", "memoryMiB", "discardedPath", "lastLines"],
            report.Select(member => member.Key));
        Assert.Equal(("background", "switched"), ((string?)report["mode"], (string?)report["outcome"]));
    }

    [Fact]
    public async Task Reboot_can_be_watched()
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl("/v1/reboot", "-N", "-H", "Accept: text/event-stream", "-d", """{"mode":"background"}""");
        Assert.Equal((200, "text/event-stream"), (answer.Status, answer.MediaType));
        string[] events = answer.Body.TrimEnd().Split("\n\n");
        Assert.Equal("event: progress\ndata: {\"phase\":\"prepare\",\"elapsedMillis\":1,\"detail\":null}", events[0]);
        Assert.Equal("event: progress\ndata: {\"phase\":\"fork\",\"elapsedMillis\":20,\"detail\":\"clone pause 0.4 ms\"}", events[1]);
        Assert.StartsWith("event: report\ndata: {\"mode\":\"background\",\"outcome\":\"switched\"", events[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Events_come_while_the_reboot_runs_and_it_outlives_its_watcher()
    {
        await using Api api = await Api.Open("hold");
        using Process curl = api.BeginCurl("/v1/reboot", "-N", "-H", "Accept: text/event-stream", "-d", """{"mode":"background"}""");
        Assert.Equal("event: progress", await curl.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        Assert.False(api.Fake.Rebooted.IsCompleted);
        curl.Kill();
        await curl.WaitForExitAsync(TestContext.Current.CancellationToken);
        api.Fake.Console.Write("go"u8);
        await api.Fake.Rebooted.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        JsonNode status = JsonNode.Parse((await api.Curl("/v1/instance")).Body)!;
        Assert.Equal("switched", (string?)status["lastReboot"]!["outcome"]);
    }

    [Theory]
    [InlineData("busy", 409, "busy", 1), InlineData("fail", 422, "refused", 4)]
    public async Task Refused_reboot_is_an_error_watched_or_not(string behaviour, int status, string code, int exitCode)
    {
        await using Api api = await Api.Open(behaviour);
        foreach (string accept in (string[])["application/json", "text/event-stream"])
        {
            Answer answer = await api.Curl("/v1/reboot", "-X", "POST", "-H", "Accept: " + accept);
            Assert.Equal((status, "application/problem+json"), (answer.Status, answer.MediaType));
            JsonNode problem = JsonNode.Parse(answer.Body)!;
            Assert.Equal((status, code, exitCode), ((int)problem["status"]!, (string)problem["code"]!, (int)problem["exitCode"]!));
            Assert.NotEmpty((string)problem["detail"]!);
        }
    }

    [Fact]
    public async Task Failure_on_the_way_is_the_last_event()
    {
        await using Api api = await Api.Open("late-fail");
        Answer answer = await api.Curl("/v1/reboot", "-N", "-H", "Accept: text/event-stream", "-X", "POST");
        Assert.StartsWith("event: problem\ndata: {", answer.Body.TrimEnd().Split("\n\n")[^1], StringComparison.Ordinal);
        Assert.Contains("the fork broke", answer.Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/reboot", "{"), InlineData("/v1/reboot", "[]"), InlineData("/v1/reboot", """{"mode":"sideways"}""")]
    [InlineData("/v1/reboot", """{"mode":1}"""), InlineData("/v1/reboot", """{"frob":true}""")]
    [InlineData("/v1/reboot", """{"timeoutSeconds":0}"""), InlineData("/v1/reboot", """{"timeoutSeconds":86401}""")]
    [InlineData("/v1/reboot", """{"timeoutSeconds":1e99}"""), InlineData("/v1/stop", """{"force":"yes"}""")]
    public async Task Senseless_body_is_refused_before_anything_happens(string path, string body)
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl(path, "-d", body);
        Assert.Equal((400, "application/problem+json"), (answer.Status, answer.MediaType));
        Assert.Equal("badRequest", (string?)JsonNode.Parse(answer.Body)!["code"]);
        Assert.Null(api.Fake.LastRequest);
        Assert.False(api.Fake.Completion.IsCompleted);
    }

    [Fact]
    public async Task Body_without_end_is_refused()
    {
        await using Api api = await Api.Open();
        // Asks before it sends: else the server closes the line on what is still being sent, and curl may fail at that before it reads the answer.
        Answer answer = await api.Curl("/v1/stop", "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-d", new string(' ', 100_000));
        Assert.Equal((413, "application/problem+json"), (answer.Status, answer.MediaType));
    }

    [Theory]
    [InlineData("/", "GET", 404, "notFound"), InlineData("/v2/instance", "GET", 404, "notFound")]
    [InlineData("/v1/instance", "DELETE", 405, "methodNotAllowed"), InlineData("/v1/stop", "GET", 405, "methodNotAllowed")]
    public async Task Unknown_places_are_problems_too(string path, string method, int status, string code)
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl(path, "-X", method);
        Assert.Equal((status, "application/problem+json"), (answer.Status, answer.MediaType));
        Assert.Equal(code, (string?)JsonNode.Parse(answer.Body)!["code"]);
    }

    [Fact]
    public async Task Stop_says_whether_the_guest_is_off()
    {
        await using Api api = await Api.Open("stubborn");
        Assert.Equal("""{"stopped":false}""", (await api.Curl("/v1/stop", "-X", "POST")).Body);
        Assert.Equal("""{"stopped":true}""", (await api.Curl("/v1/stop", "-d", """{"force":true}""")).Body);
        Assert.True(api.Fake.Completion.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Break_reaches_the_console()
    {
        await using Api api = await Api.Open();
        List<string> seen = [];
        using IDisposable attached = api.Fake.Console.Attach(output => seen.Add(System.Text.Encoding.Latin1.GetString(output.Span)), 0);
        Answer answer = await api.Curl("/v1/console/break", "-X", "POST");
        Assert.Equal((204, ""), (answer.Status, answer.Body));
        Assert.Contains("<BREAK>", seen);
    }

    [Fact]
    public async Task Description_lists_every_route_and_nothing_else()
    {
        await using Api api = await Api.Open();
        Answer answer = await api.Curl("/openapi.json");
        Assert.Equal((200, "application/json"), (answer.Status, answer.MediaType));
        JsonNode document = JsonNode.Parse(answer.Body)!;
        Assert.StartsWith("3.", (string?)document["openapi"], StringComparison.Ordinal);
        string[] described = [.. document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(method => $"{method.Key.ToUpperInvariant()} {path.Key}")).Order(StringComparer.Ordinal)];
        Assert.Equal(api.Server.Routes.Order(StringComparer.Ordinal), described);
    }

    [Fact]
    public async Task Description_matches_the_types()
    {
        await using Api api = await Api.Open();
        JsonNode schemas = JsonNode.Parse((await api.Curl("/openapi.json")).Body)!["components"]!["schemas"]!;
        (string Name, System.Text.Json.Serialization.Metadata.JsonTypeInfo Type)[] documented =
        [
            ("InstanceStatus", ControlJson.Default.InstanceStatus), ("UpkeepStatus", ControlJson.Default.UpkeepStatus), ("RebootBody", ControlJson.Default.RebootBody),
            ("RebootProgress", ControlJson.Default.RebootProgress), ("RebootReport", ControlJson.Default.RebootReport),
            ("StopBody", ControlJson.Default.StopBody), ("StopResult", ControlJson.Default.StopResult), ("Problem", ControlJson.Default.Problem),
        ];
        foreach ((string name, System.Text.Json.Serialization.Metadata.JsonTypeInfo type) in documented)
        {
            Assert.Equal(type.Properties.Select(p => p.Name), schemas[name]!["properties"]!.AsObject().Select(p => p.Key));
        }

        void SameWords<T>(string schema) where T : struct, Enum => Assert.Equal(
            Enum.GetNames<T>().Select(System.Text.Json.JsonNamingPolicy.CamelCase.ConvertName),
            schemas[schema]!["enum"]!.AsArray().Select(word => (string?)word));
        SameWords<InstanceState>("InstanceState");
        SameWords<RebootMode>("RebootMode");
        SameWords<RebootOutcome>("RebootOutcome");
        SameWords<RebootPhase>("RebootPhase");
        SameWords<ShutdownMode>("ShutdownMode");
        SameWords<QuiesceMode>("QuiesceMode");
    }

    [Fact]
    public async Task Socket_is_private_and_a_stale_one_is_replaced()
    {
        using TempDirectory temp = new();
        string socket = Path.Combine(temp.Path, "control.sock");
        await File.WriteAllTextAsync(socket, "left over", TestContext.Current.CancellationToken);
        await using ControlServer server = await ControlServer.StartAsync(
            socket, new FakeInstance(FakeInstance.Config()), NullLoggerFactory.Instance);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
    }

    private sealed record Answer(int Status, string? MediaType, string Body);

    private sealed class Api : IAsyncDisposable
    {
        private readonly TempDirectory _temp = new();

        public FakeInstance Fake { get; private init; } = null!;

        public ControlServer Server { get; private set; } = null!;

        private string Socket => Path.Combine(_temp.Path, "control.sock");

        public static async Task<Api> Open(string behaviour = "")
        {
            Api api = new() { Fake = new FakeInstance(FakeInstance.Config(behaviour)) };
            api.Server = await ControlServer.StartAsync(api.Socket, api.Fake, NullLoggerFactory.Instance);
            return api;
        }

        public Process BeginCurl(string path, params string[] options) => Process.Start(
            new ProcessStartInfo("curl", ["-sS", "--max-time", "60", "--unix-socket", Socket, .. options, "http://localhost" + path])
            {
                RedirectStandardOutput = true,
            })!;

        public async Task<Answer> Curl(string path, params string[] options)
        {
            using Process curl = BeginCurl(path, ["-w", "\n%{http_code} %{content_type}", .. options]);
            string output = await curl.StandardOutput.ReadToEndAsync();
            await curl.WaitForExitAsync();
            Assert.Equal(0, curl.ExitCode);
            int end = output.LastIndexOf('\n');
            string[] last = output[(end + 1)..].Split(' ');
            return new Answer(int.Parse(last[0], provider: null), last[1].Length == 0 ? null : last[1], output[..end]);
        }

        public async ValueTask DisposeAsync()
        {
            await Server.DisposeAsync();
            _temp.Dispose();
        }
    }
}
