// Thousands of subscribers and a publisher in one process. They measure how many events a server delivers and
// at what cost, and check that every event comes once and in order. Linux; loopback only.
//
//     swarm --events http://127.0.0.1:8080/events --publish http://127.0.0.1:8080/publish --pid 4711
#include "../../examples/support/program.hpp"
#include "../../examples/support/socket.hpp"
#include "experiment.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace swarm {
namespace {

int run(support::command_line arguments) {
    const settings settings = parse(arguments);
    if (settings.help) {
        support::write_out(usage);
        return 0;
    }
    support::raise_descriptor_limit();
    const report report = experiment(settings).run();
    const bool complete = is_complete(report, settings);
    support::write_out(to_json(report, settings.subscribers, complete));
    return complete ? 0 : 1;
}

}  // namespace
}  // namespace swarm

int main(int argc, char** argv) { return support::run("swarm", argc, argv, swarm::run); }
